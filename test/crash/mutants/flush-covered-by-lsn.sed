# files: journal.cc
# A flush returns when the LSNs issued so far are below those of an earlier sync, though some were in flight then.
s/target = finished_\.load\(std::memory_order_acquire\)/target = issued_lsn()/
s/\*covered = finished_\.load\(std::memory_order_relaxed\)/*covered = next_lsn_ - 1/
