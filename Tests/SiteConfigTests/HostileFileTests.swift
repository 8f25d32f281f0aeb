import Foundation
import JSONLines
import SiteModel
import TestSupport
import Testing

@testable import SiteConfig

@Suite struct `Hostile text` {
    private func problem(_ bytes: [UInt8]) -> String? {
        if case .failure(let failure) = Document.parse(bytes, as: "f") {
            failure.problem.description
        } else {
            nil
        }
    }

    private func problem(_ text: String) -> String? { problem(Array(text.utf8)) }

    @Test func `is refused where it is not text`() {
        #expect(problem(Array("a = 1\nb = \"".utf8) + [0xFF, 0x22, 0x0A]) == "f:2: not UTF-8 text")
        #expect(problem("a = 1\nb = \"\u{0}\"\n") == "f:2: a NUL byte; want text")
        #expect(problem("a = 1\nb = \"x\\u0000y\"\n") == "f:2: an escaped NUL in a string")
        #expect(problem("\"k\\U00000000\" = 1") == "f:1: an escaped NUL in a string")
        #expect(problem("a = \"\"\"\n\\u0000\"\"\"\n") == "f:2: an escaped NUL in a string")
        #expect(problem("a = '\\u0000'\nb = \"\\\\u0000\"\n") == nil)
    }

    @Test func `is named where it is UTF-16`() {
        let text = Array("site = \"s\"\n".utf8).flatMap { [$0, UInt8(0)] }
        let said = "f:1: UTF-16 text, as its byte order mark says; want UTF-8"
        #expect(problem([0xFF, 0xFE] + text) == said)
        #expect(problem([0xFE, 0xFF, 0] + text.dropLast()) == said)
    }

    @Test(arguments: [
        ("a = \"tcp\nb = \"x\"\n", 1), ("a = 'tcp\nb = 1\n", 1), ("b = 1\na = [\"x\", \"y]\n", 2),
        ("a = { b = \"x }\n", 1), ("a = \"x\\\"\n", 1), ("\"a = 1\n", 1), ("[\"a]\n", 1),
        ("b = 1\na = \"\"\"x\n\n", 2), ("a = \"\"\"x\\", 1), ("a = \n'x", 2),
        ("a = [\n\n  \"x\n]", 3),
        ("a = \"", 1),
    ])
    func `with a string that is not closed is refused in the string's line`(
        text: String, line: Int
    ) {
        #expect(problem(text) == "f:\(line): not TOML: the string is not closed")
    }

    @Test func `with a quote out of place is left to the parser`() throws {
        let said = try #require(problem("a = Bob's\n"))
        #expect(said.hasPrefix("f:1: not TOML: ") && !said.contains("closed"))
    }

    @Test func `is refused where it nests too deep, before the parser recurses`() {
        let limit = ConfigLimits.depth
        func nested(_ levels: Int) -> String {
            "a = " + String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
        }
        #expect(problem(nested(limit)) == nil)
        #expect(problem(nested(limit + 1)) == "f:1: values nested deeper than 16")
        #expect(problem("a = " + String(repeating: "[", count: 500_000)) != nil)
        #expect(problem("a = " + String(repeating: "{a=", count: 300_000)) != nil)
        let dotted = Array(repeating: "a", count: limit).joined(separator: ".")
        #expect(problem("\(dotted) = 1") == nil)
        #expect(problem("[\(dotted)]") == nil)
        #expect(problem("a = { \(dotted) = 1 }") == nil)
        for text in [
            "\(dotted).b = 1", "[\(dotted).b]", "[[\(dotted).b]]", "a = { \(dotted).b = 1 }",
        ] {
            #expect(problem(text) == "f:1: a key of more than 16 parts")
        }
        let huge = String(repeating: "a.", count: 400_000)
        for text in [
            "\(huge)a = 1 1", "[\(huge)a] x", "b = { \(huge)a = 1, ", "b = [{ \(huge)\"a\" = 1",
        ] {
            #expect(problem(text) == "f:1: a key of more than 16 parts")
        }
    }

    @Test(arguments: [
        "[\u{1F600}]", "[]", "[[]]", "[ # ]", "[\n", "a = [ } ]", "a = { ] }", "a = 1]",
        "a = [\u{2028}1]", "a = 1\u{A0}",
        "a = 1979-05-27T", "a = 1979-05-27T$", "a = 3956-05-22 4#", "a = 1979-05-27 4\n",
        "a = [1979-05-27 4, 5]",
        "a = 123-4", "a = 3956-05-2= 4#", "a = { b = 1979-05-27T= }", "a = 1979-05-27T07:32:00+1",
        "a = 1979-05-27T07:32", "a = \u{7F}", "a = \u{1}",
    ])
    func `that trips the parser's assertions never reaches it`(text: String) throws {
        #expect(try #require(problem("\n\(text)")).hasPrefix("f:2: not TOML: "))
    }

    @Test func `is not refused for dates, times, exponents and names that look like them`() {
        for value in [
            "1979-05-27", "1979-05-27 ", "1979-05-27 # 4", "1979-05-27T07:32:00",
            "1979-05-27 07:32:00.5Z", "1979-05-27t07:32:00-07:00",
            "07:32:00", "1e-7", "1.5E-7", "-5", "[1979-05-27, 1979-05-27 07:32:00]",
            "{ 1979-x = 1, 2-3.4-5 = 2, t-1\t= 3 }",
        ] {
            #expect(problem("a = \(value)\n1-2 = 3\n4-5.6-7 = 8\n") == nil, "\(value)")
        }
    }

    @Test func `keeps values as they are`() throws {
        let text = """
            i = 9223372036854775807
            h = 0xFF
            d = -1.25
            s = "ü \\t"
            t = 07:32:00
            a = [1, "x", [true]]
            """
        let document = try Document.parse(Array(text.utf8), as: "f").get()
        #expect(
            document.root == [
                "i": .int(.max), "h": 255, "d": -1.25, "s": "ü \t", "t": .null,
                "a": [1, "x", [true]],
            ])
    }

    @Test(arguments: [
        "a = 1\na = 2\n", "a = 1\n[b]\nc = 1\n[b]\n", "[a]\n[[a]]\n", "a = 9223372036854775808\n",
        "a = 1\n[[a]]\n", "a = {\n}\n", "a = \"x\n", "= 1\n", "a\n", "a = \n", "a = \"\"\"x\n",
        "a = [1\n",
    ])
    func `is refused by the parser with a line`(text: String) throws {
        let said = try #require(problem(text))
        #expect(said.contains(": not TOML: "))
        #expect(said.hasPrefix("f:"))
        #expect(!said.hasPrefix("f:0"))
    }
}

@Suite struct `A file that cannot be read` {
    @Test func `is named with the reason`() async throws {
        try await TestSite.with { site in
            let links = "\(site.directory)/links.d"
            try FileManager.default.createDirectory(
                atPath: "\(links)/dir.toml", withIntermediateDirectories: false)
            #expect(mkfifo("\(links)/fifo.toml", 0o644) == 0)
            try FileManager.default.createSymbolicLink(
                atPath: "\(links)/gone.toml", withDestinationPath: "/nonexistent")
            try write(
                String(repeating: "#", count: ConfigLimits.fileBytes + 1), to: "\(links)/large.toml"
            )
            try FileManager.default.createSymbolicLink(
                atPath: "\(links)/zero.toml", withDestinationPath: "/dev/zero")
            let result = site.load()
            #expect(
                result.texts == [
                    "links.d/dir.toml:1: cannot be read: not a regular file",
                    "links.d/fifo.toml:1: cannot be read: not a regular file",
                    "links.d/gone.toml:1: cannot be read: no such file or directory",
                    "links.d/large.toml:1: cannot be read: larger than 1048576 bytes",
                    "links.d/zero.toml:1: cannot be read: not a regular file",
                ])
            #expect(
                result.plan?.links.map(\.problems.isEmpty) == [
                    true, false, false, false, false, false,
                ])
        }
    }

    @Test func `of exactly the largest size is read`() async throws {
        let link = TestSite.link
        let filler = String(repeating: "#", count: ConfigLimits.fileBytes - link.utf8.count - 1)
        let result = try await TestSite.load(["links.d/a.toml": "\(link)\n\(filler)"])
        #expect(result.texts == [])
    }

    static let isRoot = geteuid() == 0

    @Test(.disabled(if: isRoot, "root may read every file, so a refused one cannot be made"))
    func `for want of permission says so`() async throws {
        try await TestSite.with { site in
            try write("", to: "\(site.directory)/links.d/b.toml", mode: 0)
            #expect(site.load().texts == ["links.d/b.toml:1: cannot be read: permission denied"])
        }
    }

    @Test func `being links.d itself stops the start`() async throws {
        try await TestSite.with { site in
            try removeItem("\(site.directory)/links.d")
            try write("", to: "\(site.directory)/links.d")
            let result = site.load()
            #expect(result.plan == nil)
            #expect(result.texts == ["links.d:1: cannot be read: not a directory"])
        }
    }

    @Test func `among more link files than a site may have stops the start`() async throws {
        try await TestSite.with { site in
            for number in 1...ConfigLimits.links { try site.write(["links.d/l\(number).toml": ""]) }
            let result = site.load()
            #expect(result.plan == nil)
            #expect(result.texts == ["links.d:1: 257 link files; want at most 256"])
        }
    }
}
