import Foundation
import TestSupport
import Testing

/// What the scripts of the Makefile do, where a mistake in one would pass for a daemon that works.
@Suite(.enabled(if: python != nil || Checkout.isCI, "no python3 to run the scripts with"))
struct ScriptTests {
    /// Runs Python code that has the module `demosite`, with its logs in a folder of its own.
    private func run(_ code: String) async throws -> (status: Int32, out: String) {
        try await withTemporaryDirectory { directory in
            let start = """
                import sys, pathlib
                sys.dont_write_bytecode = True
                sys.path.insert(0, "\(Checkout.root)/scripts")
                import demosite
                demosite.RUN = pathlib.Path("\(directory)")
                def program(text): return demosite.Program("program", ["/bin/sh", "-c", text])
                """
            let process = try ChildProcess(
                try #require(python, "no python3"), ["-c", "\(start)\n\(code)"])
            let status = try await process.exitStatus()
            return (status, process.standardOutput + process.standardError)
        }
    }

    @Test("a program whose log speaks of something ready does not pass for ready itself")
    func lineThatOnlyContainsTheWord() async throws {
        let run = try await run(
            """
            failed = program("echo 'controller sim is ready'; echo already; exit 3")
            try:
                failed.wait_for_line("ready")
                print("taken for ready")
            except demosite.Trouble as trouble:
                print(trouble)
            """)
        #expect(run.status == 0)
        #expect(run.out.hasPrefix("program ended with status 3:"), "\(run.out)")
    }

    @Test("the line itself is found, and a peer's line by its first word")
    func lineItself() async throws {
        let run = try await run(
            """
            serving = program("echo 'not listening'; echo listening 15020; echo ready; exec sleep 60")
            serving.wait_for_line("ready")
            serving.wait_for_word("listening")
            serving.stop()
            """)
        #expect(run.status == 0, "\(run.out)")
    }
}

private let python = ["/usr/bin/python3", "/usr/local/bin/python3", Checkout.python].first {
    FileManager.default.isExecutableFile(atPath: $0)
}
