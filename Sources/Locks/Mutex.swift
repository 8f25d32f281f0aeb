import Glibc

/// A value that one thread at a time may touch.
///
/// Has the shape of the standard library's `Mutex` and stands in its place, for two reasons that were both seen with Swift 6.3
/// on Linux (`docs/decisions/0007-a-pthread-mutex.md`): in optimised code that one may be unlocked with the identity of another
/// thread when its `withLock` is inlined into an `async` function, which ends the process; and thread sanitizer sees neither
/// its lock nor its unlock.
// Sendable because every access to `value` is between lock and unlock.
package final class Mutex<Value>: @unchecked Sendable {
    // On the heap because a pthread mutex must not move.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    package init(_ value: consuming sending Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` while no other thread can. Keep it short, and call nobody in it who may want the same lock.
    package func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
