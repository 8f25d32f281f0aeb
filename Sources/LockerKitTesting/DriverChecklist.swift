import LockerKit
import Locks

/// What every driver must do, checked against a controller and its hardware.
///
/// ```swift
/// @Test func `keeps every promise of a driver`() async {
///     let violations = await DriverChecklist.run(fixture)
///     #expect(violations.isEmpty)
/// }
/// ```
public enum DriverChecklist {
    /// Runs every check and returns the broken promises, as sentences for people; empty means conformance.
    public static func run(_ fixture: DriverFixture) async -> [String] {
        let checks: [(String, @Sendable (Inspection) async throws -> Void)] = [
            ("start", startEnergisesNothing),
            ("open", openEnergisesNoLongerThanAsked),
            ("unknown locker", unknownLockerIsRefused),
            ("deadline", openPastItsDeadlineFiresNothing),
            ("doors", doorsCoverTheSensors),
            ("cancelled open", cancelledOpenLeavesTheCoilOff),
            ("stop", stopReleasesAll),
            ("stopped", stoppedControllerFiresNothing),
            ("restart", startAfterStopWorks),
            ("unplugged", lostDeviceIsAState),
        ]
        var violations: [String] = []
        for (name, check) in checks {
            let inspection = Inspection(fixture)
            do {
                try await check(inspection)
            } catch {
                inspection.note("ended with \(error)")
            }
            violations += inspection.violations.map { "\(name): \($0)" }
        }
        return violations
    }

    private static func startEnergisesNothing(_ inspection: Inspection) async throws {
        let controller = try await inspection.controller()
        try await inspection.start(controller)
        let on = await inspection.fixture.energised()
        inspection.expect(on.isEmpty, "start energised \(on.sorted())")
        try await inspection.stop(controller)
    }

    private static func openEnergisesNoLongerThanAsked(_ inspection: Inspection) async throws {
        let controller = try await inspection.startedController()
        for locker in inspection.fixture.lockers.prefix(2) {
            let report = try await inspection.openWatched(controller, locker.number)
            inspection.expect(
                report.evidence != .doorSensor,
                "evidence is door-sensor; want doorBefore and doorAfter for that")
            inspection.expect(
                controller.capabilities.evidence != .none || report.evidence == .none,
                "evidence is \(report.evidence.rawValue); the capabilities promise none")
            await inspection.expectReleased(by: controller, after: "an open")
        }
        try await inspection.stop(controller)
    }

    private static func unknownLockerIsRefused(_ inspection: Inspection) async throws {
        let controller = try await inspection.startedController()
        let highest = inspection.fixture.lockers.map(\.number).max() ?? 0
        for number in [highest + 1, 0, -1, Int(Int32.max)] {
            try await inspection.expectNothingEnergised(controller, number, "locker \(number)") {
                guard let error = $0 else {
                    return inspection.note("locker \(number) was opened; want UNKNOWN_LOCKER")
                }
                inspection.expect(
                    error.code == .unknownLocker && error.fired == .no,
                    "locker \(number) was refused with \(error.code.rawValue), "
                        + "fired \(error.fired.rawValue); want UNKNOWN_LOCKER, fired no")
            }
        }
        try await inspection.stop(controller)
    }

    private static func openPastItsDeadlineFiresNothing(_ inspection: Inspection) async throws {
        let controller = try await inspection.startedController()
        let number = inspection.fixture.lockers[0].number
        try await inspection.expectNothingEnergised(
            controller, number, "an open after its deadline",
            deadline: inspection.fixture.clock.now
        ) {
            guard let error = $0 else {
                return inspection.note(
                    "locker \(number) was opened after the deadline; want EXPIRED")
            }
            inspection.expect(
                error.code == .expired && error.fired == .no && error.sent == .no,
                "an open after its deadline is \(error.code.rawValue), fired \(error.fired.rawValue), "
                    + "sent \(error.sent.rawValue); want EXPIRED, fired no, sent no")
        }
        try await inspection.stop(controller)
    }

    private static func doorsCoverTheSensors(_ inspection: Inspection) async throws {
        let controller = try await inspection.startedController()
        let wanted =
            controller.capabilities.doorSensors
            ? inspection.fixture.lockers.filter(\.hasSensor).map(\.number).sorted() : []
        let doors = try await inspection.readDoors(controller)
        let found = doors.map(\.locker).sorted()
        inspection.expect(found == wanted, "read the doors \(found); want \(wanted)")
        let now = inspection.fixture.clock.now
        for door in doors where door.door.takenAt > now {
            inspection.note("door \(door.locker) was read in the future")
        }
        try await inspection.stop(controller)
    }

    private static func cancelledOpenLeavesTheCoilOff(_ inspection: Inspection) async throws {
        let controller = try await inspection.startedController()
        let number = inspection.fixture.lockers[0].number
        for waitsForCoil in [false, true] {
            let call = inspection.beginOpen(controller, number)
            var wasOn = false
            if waitsForCoil { wasOn = await inspection.waitForCoil(number, of: call) }
            call.cancel()
            let outcome = try await inspection.drive(call)
            if wasOn, case .failure(let error) = outcome {
                inspection.expect(
                    error.fired != .no,
                    "the coil was seen on, and the cancelled open says fired no")
            }
            await inspection.expectReleased(by: controller, after: "a cancelled open")
        }
        try await inspection.stop(controller)
    }

    private static func stopReleasesAll(_ inspection: Inspection) async throws {
        let controller = try await inspection.startedController()
        let number = inspection.fixture.lockers[0].number
        let call = inspection.beginOpen(controller, number)
        _ = await inspection.waitForCoil(number, of: call)
        // The module cancels the open of a controller that is being stopped; so does this.
        call.cancel()
        try await inspection.stop(controller)
        _ = try await inspection.drive(call)
        await inspection.expectReleased(by: controller, after: "a stop")
    }

    private static func stoppedControllerFiresNothing(_ inspection: Inspection) async throws {
        let controller = try await inspection.startedController()
        try await inspection.stop(controller)
        let number = inspection.fixture.lockers[0].number
        try await inspection.expectNothingEnergised(controller, number, "a stopped controller") {
            guard let error = $0 else {
                return inspection.note("a stopped controller opened a locker; want an error")
            }
            inspection.expect(
                error.fired == .no, "a stopped controller says fired \(error.fired.rawValue)")
        }
    }

    private static func startAfterStopWorks(_ inspection: Inspection) async throws {
        let controller = try await inspection.startedController()
        try await inspection.stop(controller)
        try await inspection.start(controller)
        _ = try await inspection.readDoors(controller)
        _ = try await inspection.openWatched(controller, inspection.fixture.lockers[0].number)
        await inspection.expectReleased(by: controller, after: "an open")
        try await inspection.stop(controller)
    }

    private static func lostDeviceIsAState(_ inspection: Inspection) async throws {
        guard let unplug = inspection.fixture.unplug, let replug = inspection.fixture.replug else {
            return
        }
        let controller = try await inspection.startedController()
        _ = try await inspection.readDoors(controller)
        await unplug()
        do throws(LockerError) {
            _ = try await inspection.open(controller, inspection.fixture.lockers[0].number)
            inspection.note("opened a locker of a device that is gone")
        } catch {
            inspection.expect(
                [.linkDown, .timedOut].contains(error.code),
                "a lost device is \(error.code.rawValue); want LINK_DOWN or TIMED_OUT")
        }
        do throws(LockerError) {
            _ = try await inspection.readDoors(controller)
            inspection.note("read the doors of a device that is gone")
        } catch {
            inspection.expect(
                [.linkDown, .timedOut].contains(error.code),
                "a lost device is \(error.code.rawValue); want LINK_DOWN or TIMED_OUT")
        }
        await replug()
        guard try await inspection.readsAgain(controller) else {
            return inspection.note("does not read the doors again once the device is back")
        }
        _ = try await inspection.openWatched(controller, inspection.fixture.lockers[0].number)
        await inspection.expectReleased(by: controller, after: "an open")
        try await inspection.stop(controller)
    }
}
