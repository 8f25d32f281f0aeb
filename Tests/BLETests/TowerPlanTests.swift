import DriverBench
import LockerKit
import TestSupport
import Testing

@testable import BLETowerDriver

@Suite struct `A tower in a file` {
    private static let usual = """
        driver = "ble-tower"
        [link]
        [[controller]]
        id = "north"
        tower = "0100000000000175"
        address = "F0:F1:F2:F3:F4:F5"
        first_id = 1
        bank = "main"
        power = "main"

        """

    private func plan(_ keys: String, _ usual: String = usual) async throws -> TowerPlan {
        let text = usual.replacing("driver = \"ble-tower\"\n[link]\n", with: "")
        let link = try await LinkFixture.load(
            text + keys, driver: "ble-tower", folder: "BLETower", boards: [:])
        return try TowerPlan(link.controllers[0], link: link.options)
    }

    @Test func `has its lockers in a row, or where each says`() async throws {
        let plan = try await plan(
            """
            key_file = "/etc/lockerd/north.keys"
            lockers = 3
            first_tower_locker = 0
            [[controller.locker]]
            number = 2
            tower_locker = 17
            sensor = false
            """)
        #expect(plan.numbers == [1: 0, 2: 17, 3: 2])
        #expect(plan.sensed == [1, 3])
        #expect(plan.access == .keys("/etc/lockerd/north.keys"))
        #expect(plan.capabilities.pulseTiming == .board)
    }

    @Test(arguments: [
        ("lockers = 1", "neither key_file nor session_file"),
        ("lockers = 1\nkey_file = \"/a\"\nsession_file = \"/b\"", "want one of them"),
        (
            "lockers = 3\nkey_file = \"/a\"\n[[controller.locker]]\nnumber = 1\ntower_locker = 3",
            "lockers 1 and 3 of north are both locker 3 of the tower"
        ),
    ])
    func `is refused where it is not clear`(keys: String, problem: String) async throws {
        let error = await #expect(throws: LockerError.self) { _ = try await plan(keys) }
        #expect(error?.message.contains(problem) == true, "\(error?.message ?? "")")
    }

    @Test(arguments: [
        ("0100000000000175", "010000000000017", "tower of north is"),
        ("F0:F1:F2:F3:F4:F5", "F0-F1-F2-F3-F4-F5", "address of north is"),
    ])
    func `names what is wrong`(right: String, wrong: String, problem: String) async throws {
        let text = Self.usual.replacing(right, with: wrong)
        let error = await #expect(throws: LockerError.self) {
            _ = try await plan("lockers = 1\nkey_file = \"/a\"", text)
        }
        #expect(error?.message.contains(problem) == true, "\(error?.message ?? "")")
    }
}
