package import NIOCore

/// Runs tasks on an event loop's thread.
///
/// A task that talks to a module, or answers a client, over a channel of the same loop then needs no other thread to be woken.
/// Its jobs must be short: the loop moves nobody's bytes meanwhile.
package final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    package init(_ loop: any EventLoop) {
        self.loop = loop
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
