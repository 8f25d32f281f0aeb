import Foundation
import LockerKit
import Testing

@Suite struct DeviceQueues {
    private actor Port {
        private let queue: DeviceQueue
        private let gate: DispatchSemaphore
        private let begun: DispatchSemaphore
        nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }
        private(set) var calls = 0

        init(label: String, gate: DispatchSemaphore, begun: DispatchSemaphore) {
            queue = DeviceQueue(label: label)
            self.gate = gate
            self.begun = begun
        }

        func block() {
            begun.signal()
            blockingWait(gate)
            calls += 1
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func `blocking calls leave the cooperative pool free`() async {
        let gate = DispatchSemaphore(value: 0)
        let begun = DispatchSemaphore(value: 0)
        // More blocked devices than the pool has threads.
        let count = ProcessInfo.processInfo.activeProcessorCount * 2 + 2
        let ports = (0..<count).map { Port(label: "port-\($0)", gate: gate, begun: begun) }
        await withTaskGroup(of: Void.self) { group in
            for port in ports { group.addTask { await port.block() } }
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    for _ in 0..<count { begun.wait() }
                    continuation.resume()
                }
            }
            // All of them block now, and tasks still run.
            let sum = await withTaskGroup(of: Int.self) { inner in
                for number in 1...100 {
                    inner.addTask {
                        await Task.yield()
                        return number
                    }
                }
                return await inner.reduce(0, +)
            }
            #expect(sum == 5050)
            for _ in 0..<count { gate.signal() }
        }
        for port in ports { #expect(await port.calls == 1) }
    }

    @Test func `an actor on it stays an actor`() async {
        actor Counter {
            private let queue = DeviceQueue(label: "counter")
            nonisolated var unownedExecutor: UnownedSerialExecutor {
                queue.asUnownedSerialExecutor()
            }
            private(set) var count = 0
            func add() { count += 1 }
        }
        let counter = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<500 { group.addTask { await counter.add() } }
        }
        #expect(await counter.count == 500)
    }
}

/// A plain function, because waiting on a semaphore is refused in asynchronous code; here blocking is the point.
private func blockingWait(_ semaphore: DispatchSemaphore) { semaphore.wait() }
