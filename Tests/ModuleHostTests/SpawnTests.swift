import Foundation
import JSONLines
import LockerCore
import LockerKit
import TestSupport
import Testing

@testable import ModuleHost

@Suite("Starting a process", .enabled(if: FakeModule.whyNot == nil, "\(FakeModule.whyNot ?? "")"))
struct SpawnTests {
    @Test(
        "A module gets a fixed environment, its own folder and session, and no descriptor of the daemon's"
    )
    func surroundings() async throws {
        let changes = #"""
            descriptors = {int(n): os.readlink("/proc/self/fd/" + n) if os.path.lexists("/proc/self/fd/" + n)
                           else "" for n in os.listdir("/proc/self/fd")}
            blocked = [line.split()[1] for line in open("/proc/self/status") if line.startswith("SigBlk")][0]
            note(json.dumps({"environment": dict(os.environ), "folder": os.getcwd(),
                 "descriptors": sorted(n for n, target in descriptors.items() if target),
                 "same": descriptors[0] == descriptors[1],
                 "leads": os.getsid(0) == os.getpid() == os.getpgid(0), "blocked": int(blocked, 16),
                 "arguments": len(sys.argv)}))
            """#
        // A descriptor without close-on-exec, as any library may leave one open.
        let leak = open("/dev/null", O_RDONLY)
        defer { close(leak) }
        setenv("LOCKERD_TEST_SECRET", "must not be handed on", 1)
        try await Bench.with(changes) { bench in
            _ = try await bench.reports.readyController()
            let line = try #require(FakeModule.notes(in: bench.folder).first)
            let seen = try JSONReader.parse(line)
            var environment = try #require(seen["environment"]?.objectValue)
            // Python adds this one itself under some locales.
            environment["LC_CTYPE"] = nil
            #expect(
                environment == [
                    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "LANG": "C.UTF-8", "LOCKERD_MODULE": "fake", "LOCKERD_LINK": "yard",
                    "SWIFT_BACKTRACE": "enable=no",
                ])
            #expect(seen["folder"]?.stringValue == "\(bench.folder)/modules/fake")
            #expect(seen["descriptors"] == [0, 1, 2])
            #expect(seen["same"] == true)
            #expect(seen["leads"] == true)
            #expect(seen["blocked"] == 0)
            #expect(seen["arguments"] == 1)
        }
    }

    @Test("Many modules start, serve and end side by side, and nothing is left behind")
    func many() async throws {
        // The threads and the event loop of the host open descriptors once.
        try await Bench.with { bench in _ = try await bench.reports.readyController() }
        try await withThrowingTaskGroup(of: Int32.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var pid: Int32 = 0
                    try await Bench.with { bench in
                        let wall = try await bench.reports.readyController()
                        pid = try await bench.processID()
                        for _ in 0..<20 {
                            _ = try await wall.open(
                                OpenCommand(locker: 1, pulse: .milliseconds(10)))
                        }
                    }
                    return pid
                }
            }
            var seen: Set<Int32> = []
            for try await pid in group {
                #expect(!exists(pid))
                seen.insert(pid)
            }
            #expect(seen.count == 8)
        }
    }

    /// A program that starts a module with the daemon's own C code and does nothing else.
    private static let parent = #"""
        #include "lkd_spawn.h"
        #include <stdio.h>
        #include <unistd.h>
        int main(int count, char **arguments) {
            (void)count;
            lkd_child child;
            const char *step;
            char *environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
            int error = lkd_spawn(arguments[1], arguments[2], environment, &child, &step);
            if (!error) error = lkd_spawn_outcome(child.status, &step);
            if (error) { fprintf(stderr, "%s: %d\n", step, error); return 1; }
            char byte;
            if (read(child.channel, &byte, 1) != 1) return 2;
            printf("child %d\n", (int)child.pid);
            fflush(stdout);
            for (;;) pause();
        }
        """#

    @Test(
        "When the daemon is killed its modules end: one hears the signal, another the end of its input",
        .enabled(
            if: Checkout.compiler != nil || Checkout.isCI, "no C compiler for the daemon's stand-in"
        ),
        arguments: [
            "while True: time.sleep(1)",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsys.stdin.read()",
        ])
    func orphan(behaviour: String) async throws {
        try await withTemporaryDirectory { folder in
            try write(Self.parent, to: "\(folder)/parent.c")
            let compile = try ChildProcess(
                Checkout.compiler ?? "/usr/bin/cc",
                [
                    "-I", "\(Checkout.root)/Sources/CPosixShim/include", "-o", "\(folder)/parent",
                    "\(folder)/parent.c", "\(Checkout.root)/Sources/CPosixShim/spawn.c",
                ])
            #expect(try await compile.exitStatus(within: .seconds(60)) == 0)
            let script =
                "#!/usr/bin/env python3\nimport signal, sys, time\n"
                + behaviour.replacingOccurrences(
                    of: "while", with: "sys.stdout.write('.'); sys.stdout.flush()\nwhile"
                ).replacingOccurrences(
                    of: "sys.stdin.read",
                    with: "sys.stdout.write('.'); sys.stdout.flush()\nsys.stdin.read")
            try write(script, to: "\(folder)/module", mode: 0o755)
            let parent = try ChildProcess("\(folder)/parent", [folder, "\(folder)/module"])
            try await parent.waitForOutput("child ")
            let words = parent.standardOutput.split(whereSeparator: \.isWhitespace)
            let pid = try #require(words.last.flatMap { Int32($0) })
            #expect(isAlive(pid))
            parent.signal(SIGKILL)
            try await eventually("the orphan ends", within: .seconds(10)) { !isAlive(pid) }
        }
    }

    private func isAlive(_ pid: Int32) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else {
            return false
        }
        return !status.contains(") Z ")
    }

    /// Nil where a file can be made to hang whoever executes it, otherwise why not.
    private static let whyNoLease: String? = {
        let path = "/tmp/lkd-lease-\(getpid())"
        let handle = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        defer {
            close(handle)
            unlink(path)
        }
        return fcntl(handle, fcntlSetLease, Int32(F_WRLCK)) == 0
            ? nil : "the file system of /tmp knows no leases"
    }()
    private static let fcntlSetLease: Int32 = 1024

    /// Holds a lease on a file; the kernel makes everybody who opens it, or executes it, wait for the lease.
    private static let leaseholder = """
        import fcntl, os, signal, sys
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        handle = os.open(sys.argv[1], os.O_RDONLY)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        print("held", flush=True)
        signal.pause()
        """

    @Test(
        "A program whose file hangs holds up no other, is given up in time and not started twice",
        .enabled(if: whyNoLease == nil, "\(whyNoLease ?? "")"))
    func hangingFile() async throws {
        func order(_ executable: String, within limit: Duration = .seconds(60))
            -> ProcessKeeper.Order
        {
            ProcessKeeper.Order(
                directory: "/", executable: executable, environment: [], limit: limit)
        }
        try await withTemporaryDirectory { folder in
            let hanging = "\(folder)/hanging"
            try write("#!/bin/sh\n", to: hanging, mode: 0o755)
            let holder = try ChildProcess(
                "/usr/bin/env", ["python3", "-c", Self.leaseholder, hanging])
            try await holder.waitForOutput("held")
            let late = ProcessKeeper.SpawnError(step: "exec", number: ETIMEDOUT)
            let first = Task {
                await spawnError(order(hanging, within: .milliseconds(300)))
            }
            // Another one starts and ends meanwhile.
            let other = try await ProcessKeeper.shared.spawn(order("/bin/true"))
            #expect(await other.ended.wait() == .code(0))
            close(other.channel)
            close(other.errors)
            #expect(await first.value == late)
            await holder.stop()
            // The kernel lets go of the killed one; then the program can be started again.
            try await eventually("it starts again") { await spawnError(order(hanging)) == nil }
        }
    }

    @Test func `A program whose file is just being written is started once it is whole`()
        async throws
    {
        try await withTemporaryDirectory { folder in
            let program = "\(folder)/program"
            try FileManager.default.copyItem(atPath: "/bin/true", toPath: program)
            let writer = try ChildProcess(
                "/bin/sh", ["-c", "exec 3>>\(program); echo held; sleep 0.1"])
            try await writer.waitForOutput("held")
            let order = ProcessKeeper.Order(
                directory: "/", executable: program, environment: [], limit: .seconds(60))
            #expect(await spawnError(order) == nil)
            await writer.stop()
        }
    }

    private func spawnError(_ order: ProcessKeeper.Order) async -> ProcessKeeper.SpawnError? {
        do throws(ProcessKeeper.SpawnError) {
            let child = try await ProcessKeeper.shared.spawn(order)
            close(child.channel)
            close(child.errors)
            return nil
        } catch {
            return error
        }
    }
}
