# files: recovery.cc
# Recovery does not take over the map updates that wait.
s/delta_\.thaw\(stragglers\)/delta_.thaw({})/
