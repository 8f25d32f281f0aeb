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

/// The look through board profiles that `make lint` takes.
@Suite(.enabled(if: python != nil || Checkout.isCI, "no python3 to run the scripts with"))
struct BoardLintTests {
    private static let right = """
        summary = "a board"
        maturity = "confirmed"
        [sources]
        coils = "its manual"
        [coils]
        pulse = "host"

        """

    /// What the linter says of these files, without their folder's name.
    private func lint(_ files: [String: String]) async throws -> [String] {
        try await withTemporaryDirectory { directory in
            for (name, text) in files { try write(text, to: "\(directory)/\(name).toml") }
            let process = try ChildProcess(
                try #require(python, "no python3"),
                ["\(Checkout.root)/scripts/lint-boards", directory])
            let status = try await process.exitStatus()
            let lines = process.standardOutput.split(separator: "\n").map {
                $0.replacingOccurrences(of: "\(directory)/", with: "")
            }
            #expect(status == (lines.isEmpty ? 0 : 1), "\(process.standardError)")
            return lines
        }
    }

    @Test("finds nothing in a file that says all it should")
    func nothing() async throws {
        #expect(try await lint(["a": Self.right]) == [])
    }

    @Test(
        "finds what a file leaves out",
        arguments: [
            ("maturity = \"confirmed\"\n", "", "a.toml: maturity is None"),
            ("\"confirmed\"", "\"certain\"", "a.toml: maturity is 'certain'"),
            ("\"confirmed\"", "\"guessed\"", "a.toml: doubts is missing"),
            ("summary = \"a board\"\n", "", "a.toml: summary is missing"),
            ("coils = \"its manual\"\n", "", "a.toml: sources.coils is missing"),
            ("coils = \"its", "doors = \"its", "a.toml: sources.coils is missing"),
            ("pulse = \"host\"", "on = 0\noff_is_safe = true", "a.toml: coils.off_is_safe is true"),
            ("pulse = \"host\"", "inverted = true", "a.toml: the board is inverted; want that"),
            ("[coils]", "[coils", "a.toml: "),
        ])
    func leftOut(old: String, new: String, complaint: String) async throws {
        let text = Self.right.replacingOccurrences(of: old, with: new)
        try #require(text != Self.right)
        let lines = try await lint(["a": text])
        #expect(lines.first?.hasPrefix(complaint) == true, "\(lines)")
    }

    @Test("finds a board that is described twice, whatever its name and its doubts")
    func twice() async throws {
        let other = Self.right.replacingOccurrences(of: "a board", with: "another board")
        #expect(
            try await lint(["a": Self.right, "b": other])
                == ["b.toml: describes the same board as a.toml"])
        #expect(
            try await lint([
                "a": Self.right, "b": other.replacingOccurrences(of: "host", with: "board"),
            ]) == [])
    }
}
