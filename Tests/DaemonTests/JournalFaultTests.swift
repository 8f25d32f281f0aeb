import Testing

/// What the daemon stands on fails, and it keeps its word: nothing fires that would be forgotten, and nothing fires twice.
///
/// Each fault is a script of its own, `Tests/Bench/killing/faults.py`, with the real programs.
@Suite(.serialized) struct JournalFaultTests {
    @Test func aFullDiskRefusesOrdinaryOpensAndHealsByItself() async throws {
        try await Killing.fault("disk-full")
    }

    @Test func aJournalThatCannotBeUsedIsLeftAsItIsAndMaintenanceStillOpens() async throws {
        try await Killing.fault("bad-journal")
    }

    @Test func aStateFolderThatCannotBeWrittenIsTheSame() async throws {
        try await Killing.fault("unwritable-journal")
    }

    @Test func aSlowDiskDelaysOpensAndNothingElse() async throws {
        try await Killing.fault("slow-disk")
    }

    @Test func aJumpingWallClockChangesNoKeyAndNoOrder() async throws {
        try await Killing.fault("clock-jumps")
    }

    @Test func tooFewHandlesCostConnectionsAndNothingElse() async throws {
        try await Killing.fault("few-handles")
    }

    @Test func aSecondDaemonOnTheSameStateFolderEndsAndSaysWhy() async throws {
        try await Killing.fault("second-daemon")
    }

    @Test func fiftyClientsWithOneKeyFireOnce() async throws {
        try await Killing.fault("duplicate-storm")
    }
}
