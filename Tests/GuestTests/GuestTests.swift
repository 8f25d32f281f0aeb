import TestSupport
import Testing

/// What the guest itself is held to, by programs that have nothing to do with the project.
@Suite(
    .serialized, .enabled(if: Guest.whyNot == nil || Checkout.isCI, "\(Guest.whyNot ?? "")"))
struct `A guest with simulated chips` {
    @Test func `shows what their lines did, and when`() async throws {
        let found = try await Guest.run("bench")
        #expect(found.count == 3)
        for (name, failure) in found { #expect(failure == "", "\(name)") }
    }

    @Test func `lets an hour pass in no time`() async throws {
        let began = ContinuousClock.now
        let found = try await Guest.run("time", virtualTime: true)
        #expect(found == ["an_hour_passes_in_no_time": ""])
        #expect(began.duration(to: .now) < .seconds(120))
    }

    @Test func `that cannot end in time is ended, and says so`() async throws {
        let guest = try ChildProcess(
            "/usr/bin/python3",
            [
                "\(Checkout.root)/Tests/Bench/guest/guest.py", "--timeout", "3", "--", "sleep",
                "3600",
            ])
        #expect(try await guest.exitStatus(within: .seconds(30)) == 125)
        #expect(guest.standardError.contains("not within 3 s"))
    }

    @Test func `keeps what it writes to itself, and ends as its command does`() async throws {
        try await withTemporaryDirectory { folder in
            try write("here\n", to: "\(folder)/file")
            let command = "cat \(folder)/file && echo there > \(folder)/file && exit 7"
            let guest = try ChildProcess(
                "/usr/bin/python3",
                [
                    "\(Checkout.root)/Tests/Bench/guest/guest.py", "--cwd", "/", "--", "sh", "-c",
                    command,
                ])
            #expect(try await guest.exitStatus(within: .seconds(60)) == 7)
            #expect(guest.standardOutput == "here\n")
            let check = try ChildProcess("/bin/cat", ["\(folder)/file"])
            #expect(try await check.exitStatus() == 0 && check.standardOutput == "here\n")
        }
    }
}

/// The one header over two libraries.
@Suite(.enabled(if: Guest.whyNot == nil || Checkout.isCI, "\(Guest.whyNot ?? "")"))
struct `The GPIO shim` {
    @Test func `does the same over libgpiod 1.6 and 2.x`() async throws {
        let found = try await Guest.run("shim")
        #expect(found.count == 10)
        for (name, failure) in found { #expect(failure == "", "\(name)") }
    }
}

/// Towers that are not the daemon's, tried by a central that is not the daemon's.
@Suite(.enabled(if: Guest.whyNot == nil || Checkout.isCI, "\(Guest.whyNot ?? "")"))
struct `Towers with Bluetooth` {
    /// What the daemon is tried against, by a central that is not the daemon's.
    @Test(.enabled(if: Guest.runsAll, "takes a minute: CI runs it, or LOCKERD_GUEST_ALL=1"))
    func `open by token, refuse the rest, and break when told to`() async throws {
        let found = try await Guest.run("ble", virtualTime: true, within: .seconds(600))
        #expect(found.count > 8)
        for (name, failure) in found { #expect(failure == "", "\(name)") }
    }

    @Test func `are controllers like any other`() async throws { try await run("tower", 8) }

    @Test(.enabled(if: Guest.runsAll, "takes two minutes: CI runs it, or LOCKERD_GUEST_ALL=1"))
    func `come and go, are busy, far away or somebody else's`() async throws {
        try await run("radio", 10)
    }

    private func run(_ group: String, _ least: Int) async throws {
        try await withTemporaryDirectory { folder in
            try Guest.layOutPrograms(in: folder)
            let found = try await Guest.run(
                group, virtualTime: true, programs: folder, within: .seconds(600))
            #expect(found.count > least)
            for (name, failure) in found { #expect(failure == "", "\(name)") }
        }
    }
}

/// The GPIO driver and its guardian through the whole daemon, on chips of the kernel's gpio-sim.
@Suite(.enabled(if: Guest.whyNot == nil || Checkout.isCI, "\(Guest.whyNot ?? "")"))
struct `Locks on GPIO lines` {
    /// In virtual time: what else the machine has to do does not matter, and a wait costs nothing.
    @Test(arguments: ["gpio", "expander", "guardian", "commission"])
    func `do what they are told, and no more`(group: String) async throws {
        try await withTemporaryDirectory { folder in
            try Guest.layOutPrograms(in: folder)
            let found = try await Guest.run(
                group, virtualTime: true, programs: folder, within: .seconds(600))
            #expect(found.count > 3)
            for (name, failure) in found { #expect(failure == "", "\(name)") }
        }
    }

    @Test func `go off when their driver dies, a hundred times, in real time`() async throws {
        try await withTemporaryDirectory { folder in
            try Guest.layOutPrograms(in: folder)
            let found = try await Guest.run("deaths", programs: folder, within: .seconds(600))
            #expect(found == ["a_hundred_drivers_die_and_no_coil_stays_on": ""])
        }
    }
}
