//! Lets a thread run where no other wants to: what it takes when all cores are busy is taken from reading.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Takes the calling thread out of the way of all others. A low priority alone does not: the kernel wakes
/// threads on cores that it takes for idle, and one where a thread of low priority runs is none, unless
/// its policy says so (`SCHED_IDLE`).
pub(crate) fn give_way() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let lowered = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    if let Err(error) = lowered {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}
