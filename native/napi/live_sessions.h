// The mounts that are connected, with the store each one reads and writes: a store outlives its sessions, also those that
// were detached lazily and go on until the last file on them is closed. One list a process; any thread.
#pragma once
#include <functional>
#include <memory>

#include "../fuse/server.h"
#include "../store/store.h"

namespace galleonfs::node {

// The FUSE server of the process; made at first use, never taken apart.
fuse::Server& fuse_server();

// server.mount(), after which `store` lives until the session has ended. On a worker. Null on failure, with `error`.
std::shared_ptr<fuse::Session> mount_store(std::shared_ptr<store::Store> store, const fuse::MountOptions& options,
                                           fuse::Error& error);

// server.adopt(), likewise.
std::shared_ptr<fuse::Session> adopt_store(std::shared_ptr<store::Store> store, const fuse::MountOptions& options,
                                           fuse::InheritedMount mount, fuse::Error& error);

// Stops serving all of them, after the requests under way, and lets go of their stores; the mounts are left to another
// process. Nothing can be mounted afterwards. On a worker.
void release_sessions();

// `ended` is called once, when the session has ended (at once, if it has already), on any thread, under a lock: it must be
// short and must not call back here.
void watch_session(const fuse::Session& session, std::function<void()> ended);

// When this returns `ended` is not running and will not be called any more. The store is still kept.
void mute_session(const fuse::Session& session);

}  // namespace galleonfs::node
