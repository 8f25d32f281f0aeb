import Locks

/// A list that any thread may add to.
final class Kept<Value: Sendable>: Sendable {
    private let list = Mutex<[Value]>([])

    var values: [Value] { list.withLock { $0 } }

    func append(_ value: Value) { list.withLock { $0.append(value) } }
}
