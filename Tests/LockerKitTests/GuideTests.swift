import Foundation
import LockerKit
import LockerKitTesting
import TestSupport
import Testing

/// The controller that `docs/writing-a-driver.md` shows, with a board that loses answers.
@Suite struct DriverGuides {
    private actor Port {
        private(set) var on: Set<Int> = []
        private let isLost: @Sendable (_ number: Int, _ isOn: Bool) -> Bool
        private var orders = 0

        init(isLost: @escaping @Sendable (_ number: Int, _ isOn: Bool) -> Bool) {
            self.isLost = isLost
        }

        /// Carries out what it can; a lost off did not get there, a lost on did, and nobody knows either.
        func coil(_ locker: Int, on isOn: Bool) throws(LockerError) {
            orders += 1
            let isLost = isLost(orders, isOn)
            if isOn { on.insert(locker) }
            if !isOn, !isLost { on.remove(locker) }
            if isLost { throw LockerError(.timedOut, "no answer", fired: .unknown, sent: .yes) }
        }
    }

    private actor Controller: LockController {
        nonisolated let capabilities = Capabilities(
            pulseTiming: .host, evidence: .echo, polarityKnown: true, doorSensors: true)
        private let port: Port
        private let context: DriverContext
        private var inDoubt: Int?
        private var isStarted = false

        init(_ port: Port, _ context: DriverContext) {
            self.port = port
            self.context = context
        }

        func start() async throws(LockerError) { isStarted = true }

        func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
            guard isStarted else { throw LockerError(.linkDown, "not started") }
            guard (1...2).contains(command.locker) else {
                throw LockerError(.unknownLocker, "no locker \(command.locker)")
            }
            return try await pulse(command)
        }

        func readDoors() async throws(LockerError) -> [DoorReading] {
            try await settle()
            let now = context.clock.now
            return (1...2).map { DoorReading(locker: $0, door: .closed, takenAt: now) }
        }

        func stop() async throws(LockerError) {
            isStarted = false
            try await settle()
        }

        // The guide quotes from here.
        private func pulse(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
            try await settle()
            if Task.isCancelled { throw LockerError(.cancelled, "cancelled before it fired") }
            try command.checkDeadline(at: context.clock.now)
            inDoubt = command.locker
            var fault: LockerError?
            var wasCut = false
            do throws(LockerError) {
                try await port.coil(command.locker, on: true)
                do { try await context.clock.sleep(for: command.pulse) } catch { wasCut = true }
            } catch {
                // A board that may have heard the order is told off all the same.
                fault = error
                if error.fired == .no { inDoubt = nil }
            }
            try await settle(fired: fault == nil ? .yes : .unknown)
            if let fault { throw fault }
            if wasCut {
                throw LockerError(.cancelled, "the pulse was cut short", fired: .yes, sent: .yes)
            }
            return OpenReport(evidence: .echo, pulse: command.pulse)
        }

        /// Switches off what may still be on. Comes first in every call, and last in a pulse.
        private func settle(fired: LockerError.Fired = .no) async throws(LockerError) {
            guard let locker = inDoubt else { return }
            do throws(LockerError) {
                try await port.coil(locker, on: false)
                inDoubt = nil
            } catch {
                throw LockerError(
                    .outputStuck, "coil \(locker) may still be on: off: \(error.message)",
                    fired: fired, sent: fired == .no ? .no : .yes)
            }
        }
        // The guide quotes up to here.
    }

    private static let guide = "\(Checkout.root)/docs/writing-a-driver.md"

    @Test func `the guide shows a controller that was tried`() throws {
        let source = try String(contentsOfFile: #filePath, encoding: .utf8)
        let indent = String(repeating: " ", count: 8)
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
        let first = try #require(
            lines.firstIndex { $0 == "\(indent)// The guide quotes from here." })
        let last = try #require(
            lines.firstIndex { $0 == "\(indent)// The guide quotes up to here." })
        let quoted = lines[(first + 1)..<last].map { $0.hasPrefix(indent) ? $0.dropFirst(8) : $0 }
        let guide = try String(contentsOfFile: Self.guide, encoding: .utf8)
        #expect(guide.contains("```swift\n\(quoted.joined(separator: "\n"))\n```"))
    }

    @Test func `the controller of the guide keeps every promise`() async {
        let clock = ManualClock()
        let port = Port { _, _ in false }
        let violations = await DriverChecklist.run(
            DriverFixture(
                lockers: [LockerDescription(number: 1), LockerDescription(number: 2)],
                manual: clock, makeController: { Controller(port, Self.context(clock)) },
                energised: { await port.on }))
        #expect(violations == [])
    }

    @Test func `an order that may have been heard is followed by off`() async throws {
        let clock = ManualClock()
        let port = Port { _, isOn in isOn }
        let controller = Controller(port, Self.context(clock))
        try await controller.start()
        await #expect(throws: LockerError(.timedOut, "no answer", fired: .unknown, sent: .yes)) {
            try await controller.open(OpenCommand(locker: 1, pulse: .milliseconds(200)))
        }
        #expect(await port.on.isEmpty)
        #expect(try await controller.readDoors().count == 2)
    }

    @Test func `an output in doubt answers for everything until it is off`() async throws {
        let clock = ManualClock()
        // On, then four times off: the last one gets there.
        let port = Port { number, _ in number < 5 }
        let controller = Controller(port, Self.context(clock))
        try await controller.start()
        func code(_ fired: LockerError.Fired, _ call: () async throws -> Void) async {
            let error = await #expect(throws: LockerError.self) { try await call() }
            #expect(error?.code == .outputStuck && error?.fired == fired)
        }
        await code(.unknown) {
            _ = try await controller.open(OpenCommand(locker: 1, pulse: .zero))
        }
        await code(.no) { _ = try await controller.open(OpenCommand(locker: 2, pulse: .zero)) }
        await code(.no) { _ = try await controller.readDoors() }
        #expect(await port.on == [1])
        #expect(try await controller.readDoors().count == 2)
        #expect(await port.on == [])
    }

    private static func context(_ clock: ManualClock) -> DriverContext {
        DriverContext(link: "yard", clock: clock, logger: LogRecorder().logger)
    }
}
