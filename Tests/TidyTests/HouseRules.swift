/// Rules that a program can check by looking at the text of a file.
enum HouseRules {
    static let longestFile = 400
    static let longestFunction = 60

    /// Rooms whose declarations other packages may use.
    static let publicRooms = [
        "Sources/LockerKit/", "Sources/LockerKitTesting/", "Sources/ControlClient/",
    ]

    /// Sources of programs, as opposed to prose, data and examples of configuration.
    static func isCode(_ path: String) -> Bool {
        if path.hasPrefix("scripts/") || path == "Makefile" { return true }
        return [".swift", ".c", ".h", ".py", ".sh"].contains { path.hasSuffix($0) }
    }

    static func findings(in file: TextFile) -> [Finding] {
        var found = unfinishedWork(in: file) + machinePaths(in: file)
        if isCode(file.path) { found += length(of: file) }
        guard file.isSwift else { return found }
        let text = SwiftText(file.text)
        found += unexplainedEscapes(in: file, text)
        if file.path.hasPrefix("Sources/") || file.path.hasPrefix("Plugins/") {
            found +=
                crashes(in: file, text) + unsafeMutex(in: file, text) + strayPublic(in: file, text)
                + longFunctions(in: file, text)
        }
        return found
    }

    static func length(of file: TextFile) -> [Finding] {
        let count = file.lines.count - (file.text.hasSuffix("\n") ? 1 : 0)
        guard count > longestFile else { return [] }
        return [Finding(path: file.path, message: "\(count) lines; want at most \(longestFile)")]
    }

    static func longFunctions(in file: TextFile, _ text: SwiftText) -> [Finding] {
        text.functions.filter { $0.length > longestFunction }.map {
            Finding(
                path: file.path, line: $0.line,
                message: "\($0.name) has \($0.length) lines; want at most \(longestFunction)")
        }
    }

    static func unfinishedWork(in file: TextFile) -> [Finding] {
        // Written so that this file does not find itself.
        lines(of: file.lines, with: "DX", matching: /\b(?:TO[D]O|FIX[M]E|X[X]X)\b/) {
            Finding(path: file.path, line: $0, message: "unfinished work is not marked, it is done")
        }
    }

    /// Paths of somebody's machine.
    static func machinePaths(in file: TextFile) -> [Finding] {
        lines(
            of: file.lines, with: "/",
            matching: /(?:^|[\s"'`(=:,])\/(?:root|home|work|Users|tmp\/mini)\/[\w.]/
        ) {
            Finding(path: file.path, line: $0, message: "names a path of one machine")
        }
    }

    static func crashes(in file: TextFile, _ text: SwiftText) -> [Finding] {
        let rules: [(Regex<Substring>, String)] = [
            (/\bfatalError\b/, "fatalError ends the daemon"),
            (/[\w\])>]!(?!=)/, "`try!`, `as!` or a forced unwrap ends the daemon"),
        ]
        return rules.flatMap { rule in
            lines(of: text.lines, with: "!E", matching: rule.0) {
                Finding(path: file.path, line: $0, message: rule.1)
            }
        }
    }

    /// What switches the compiler's checks off carries its reason: a comment on the line before, or on the same line.
    static func unexplainedEscapes(in file: TextFile, _ text: SwiftText) -> [Finding] {
        guard text.code.contains("@unchecked") || text.code.contains("unsafe") else { return [] }
        let source = file.lines
        return lines(
            of: text.lines, with: "@()",
            matching: /@unchecked\s+Sendable|nonisolated\(unsafe\)|@unsafe\b/
        ) {
            Finding(
                path: file.path, line: $0, message: "no comment before it says why this is safe")
        }
        .filter { finding in
            guard let line = finding.line, !source[line - 1].contains("//") else { return false }
            let before = source[..<(line - 1)].last {
                !$0.drop(while: \.isWhitespace).hasPrefix("@")
            }
            return before?.drop(while: \.isWhitespace).hasPrefix("//") != true
        }
    }

    /// Everybody locks with `Locks`: the standard library's mutex is unsafe in optimised `async` code, see decision 7.
    static func unsafeMutex(in file: TextFile, _ text: SwiftText) -> [Finding] {
        guard text.code.contains("Synchronization") else { return [] }
        return lines(
            of: text.lines, with: "S",
            matching: /\bimport\s+(?:struct\s+)?Synchronization(?!\.Atomic\b)/
        ) {
            Finding(
                path: file.path, line: $0,
                message: "the mutex of Synchronization; want Locks, or only Synchronization.Atomic")
        }
    }

    static func strayPublic(in file: TextFile, _ text: SwiftText) -> [Finding] {
        guard !publicRooms.contains(where: { file.path.hasPrefix($0) }),
            text.code.contains("public")
        else { return [] }
        return lines(of: text.lines, with: "b", matching: /\bpublic\b/) {
            Finding(
                path: file.path, line: $0,
                message: "public outside the rooms that other packages use")
        }
    }

    /// Findings for the lines that match. Every match has one of the ASCII characters of `hint`, so that a pattern is
    /// only tried on the few lines that can have it.
    private static func lines<Output>(
        of lines: [Substring], with hint: String, matching pattern: Regex<Output>,
        _ finding: (Int) -> Finding
    ) -> [Finding] {
        let bytes = Array(hint.utf8)
        return lines.enumerated().filter { line in
            line.element.utf8.contains { bytes.contains($0) } && line.element.contains(pattern)
        }.map { finding($0.offset + 1) }
    }
}
