import LockerKit
import LockerKitTesting
import Locks
import Testing

@Suite struct DriverChecklists {
    /// A board that times its pulses badly, in the ways its flaws say.
    private final class Board: LockController {
        enum Flaw: CaseIterable {
            case energisesAtStart, opensAnything, readsTooFew, readsTheFuture, pulsesTooLong
            case keepsTheCoil, ignoresStop, firesWhenStopped, usesForeignCode, givesAwayToken
            case claimsEvidence, hangs, forgetsTheDeadline
            case firesNothing, firesTheNeighbour, firesBoth, lies, firesUnknown, firesLate
        }

        let capabilities: Capabilities
        private let flaw: Flaw?
        private let clock: ManualClock
        private let state = Mutex<(on: Set<Int>, isStarted: Bool)>(([], false))

        init(_ flaw: Flaw?, _ timing: Capabilities.PulseTiming, _ clock: ManualClock) {
            capabilities = Capabilities(
                pulseTiming: timing, evidence: .none, polarityKnown: true, doorSensors: true)
            self.flaw = flaw
            self.clock = clock
        }

        var energised: Set<Int> { state.withLock { $0.on } }

        func start() async throws(LockerError) {
            state.withLock {
                $0.isStarted = true
                if flaw == .energisesAtStart { $0.on = [2] }
            }
        }

        func open(_ command: OpenCommand) async throws(LockerError) -> OpenReport {
            guard (1...2).contains(command.locker) || flaw == .opensAnything else {
                if flaw == .firesUnknown { try await pulse([1], .milliseconds(200)) }
                let told = flaw == .givesAwayToken ? command.token?.payload ?? "" : "1-2"
                throw LockerError(
                    flaw == .usesForeignCode ? .conflict : .unknownLocker, "no locker; want \(told)"
                )
            }
            guard state.withLock({ $0.isStarted }) || flaw == .firesWhenStopped else {
                throw LockerError(.linkDown, "not started")
            }
            if flaw == .firesLate, command.deadline != nil {
                try await pulse([command.locker], .milliseconds(200))
            }
            if flaw != .forgetsTheDeadline { try command.checkDeadline(at: clock.now) }
            let coils: Set<Int> =
                switch flaw {
                case .firesNothing: []
                case .firesTheNeighbour: [3 - command.locker]
                case .firesBoth: [1, 2]
                default: [command.locker]
                }
            let length: Duration =
                switch flaw {
                case .pulsesTooLong, .lies: command.pulse * 3
                case .hangs: .seconds(100_000)
                default: command.pulse
                }
            try await pulse(coils, length)
            return OpenReport(
                evidence: flaw == .claimsEvidence ? .echo : .none,
                pulse: flaw == .lies ? command.pulse : length)
        }

        private func pulse(_ coils: Set<Int>, _ length: Duration) async throws(LockerError) {
            state.withLock { $0.on.formUnion(coils) }
            if capabilities.pulseTiming == .board {
                Task {
                    try? await clock.sleep(for: length)
                    off(coils)
                }
                return
            }
            do {
                try await clock.sleep(for: length)
            } catch {
                if flaw != .keepsTheCoil { off(coils) }
                throw LockerError(.cancelled, "cut short", fired: .yes, sent: .yes)
            }
            off(coils)
        }

        func readDoors() async throws(LockerError) -> [DoorReading] {
            let taken = clock.now + (flaw == .readsTheFuture ? .seconds(5) : .zero)
            return (1...(flaw == .readsTooFew ? 1 : 2)).map {
                DoorReading(locker: $0, door: .closed, takenAt: taken)
            }
        }

        func stop() async throws(LockerError) {
            state.withLock {
                $0.isStarted = false
                if flaw != .ignoresStop, flaw != .keepsTheCoil { $0.on = [] }
            }
        }

        private func off(_ coils: Set<Int>) {
            if flaw != .ignoresStop { state.withLock { $0.on.subtract(coils) } }
        }
    }

    private final class Made: Sendable {
        let board = Mutex<Board?>(nil)
    }

    private func violations(
        of flaw: Board.Flaw?, _ timing: Capabilities.PulseTiming = .host
    ) async -> [String] {
        let clock = ManualClock()
        let made = Made()
        return await DriverChecklist.run(
            DriverFixture(
                lockers: [LockerDescription(number: 1), LockerDescription(number: 2)],
                manual: clock,
                makeController: {
                    let board = Board(flaw, timing, clock)
                    made.board.withLock { $0 = board }
                    return board
                },
                energised: { made.board.withLock { $0 }?.energised ?? [] }))
    }

    @Test(arguments: Capabilities.PulseTiming.allCases)
    func `a good driver passes`(timing: Capabilities.PulseTiming) async {
        #expect(await violations(of: nil, timing) == [])
    }

    @Test(
        arguments: [
            (.pulsesTooLong, "locker 1 was energised for"), (.lies, "want at most 0.2 seconds"),
            (.firesNothing, "its coil was never seen on"),
            (.firesTheNeighbour, "an open of locker 1 energised [2]"),
        ] as [(Board.Flaw, String)])
    private func `pulses in the board's hands are followed to their end`(
        flaw: Board.Flaw, words: String
    ) async {
        let violations = await violations(of: flaw, .board)
        #expect(violations.contains { $0.contains(words) }, "\(violations)")
    }

    @Test(arguments: Board.Flaw.allCases)
    private func `every flaw is found`(flaw: Board.Flaw) async {
        let violations = await violations(of: flaw)
        #expect(!violations.isEmpty)
        let told: [Board.Flaw: String] = [
            .energisesAtStart: "start energised [2]",
            .opensAnything: "locker 3 was opened; want UNKNOWN_LOCKER",
            .readsTooFew: "read the doors [1]; want [1, 2]",
            .pulsesTooLong: "want at most 0.2 seconds",
            .firesNothing: "locker 1 was opened, and its coil was never seen on",
            .firesTheNeighbour: "an open of locker 1 energised [2]",
            .firesBoth: "an open of locker 2 energised [1]",
            .lies: "an open of locker 1 reports a pulse of 0.2 seconds; its coil was seen on for",
            .firesUnknown: "unknown locker: locker 3 energised [1]",
            .firesLate: "deadline: an open after its deadline energised [1]",
            .keepsTheCoil: "after a cancelled open the coils [1] are on",
            .ignoresStop: "after a stop the coils [1] are on",
            .firesWhenStopped: "a stopped controller opened a locker; want an error",
            .usesForeignCode: "CONFLICT is not a driver's error code",
            .givesAwayToken: "UNKNOWN_LOCKER gives away the token",
            .hangs: "a call did not return",
            .forgetsTheDeadline: "locker 1 was opened after the deadline; want EXPIRED",
        ]
        if let text = told[flaw] { #expect(violations.contains { $0.contains(text) }) }
    }
}
