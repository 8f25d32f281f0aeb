import Dispatch
import Glibc

import struct Synchronization.Atomic

/// Takes signals as long as it lives, instead of being ended by them: SIGINT and SIGTERM where nothing else is said.
///
/// The handler runs on a thread of its own, so it is called even while the main thread is held up by a slow reader.
final class Signals {
    private let sources: [any DispatchSourceSignal]

    private let numbers: [Int32]

    init(
        _ numbers: [Int32] = [SIGINT, SIGTERM], _ handler: @escaping @Sendable (Int32) -> Void
    ) {
        self.numbers = numbers
        let queue = DispatchQueue(label: "signals")
        sources = numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { handler(number) }
            source.resume()
            return source
        }
    }

    deinit {
        for source in sources { source.cancel() }
        for number in numbers { signal(number, SIG_DFL) }
    }
}

/// Counts signals.
final class SignalCount: Sendable {
    private let count = Atomic<Int>(0)

    /// 1 for the first signal.
    func next() -> Int { count.add(1, ordering: .relaxed).newValue }
}
