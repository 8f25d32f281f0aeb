import TestSupport
import Testing

@Suite("house rules")
struct HouseRuleTests {
    @Test("every file keeps them")
    func checkout() {
        let files = SourceTree.checkout.files.filter { $0.path != "LICENSE" }
        #expect(files.count > 60)
        let findings = files.flatMap(HouseRules.findings)
        #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
    }

    @Test(
        "each planted offence is found",
        arguments: [
            ("let a = try! b()", "try!"), ("let a = b as! C", "as!"),
            ("fatalError(\"x\")", "fatalError"),
            ("let a = b!", "forced"), ("call(a!)", "forced"), ("let a = b[0]!.c", "forced"),
            ("var a: Int!", "forced"), (#"print("\(a!)")"#, "forced"),
            ("final class A: @unchecked Sendable {}", "safe"),
            ("nonisolated(unsafe) var a = 1", "safe"), ("public struct A {}", "public"),
            ("public import Logging", "public"), ("// TO" + "DO later", "unfinished"),
            ("// see /ho" + "me/me/notes", "one machine"),
        ])
    func offence(_ text: String, word: String) {
        let file = TextFile(path: "Sources/LockerCore/A.swift", text: "\n\(text)\n")
        let findings = HouseRules.findings(in: file)
        #expect(findings.count == 1, "\(findings)")
        #expect(findings.first?.line == 2)
        #expect(findings.first?.message.contains(word) == true)
    }

    @Test(
        "what only looks like an offence is left alone",
        arguments: [
            "if a != b {}", "guard !a else { return }", "let a = \"b!\"", "// try! is bad here",
            "// Guarded by `lock`.\nfinal class A: @unchecked Sendable {}",
            "nonisolated(unsafe) var a = 1 // set once, before any thread starts",
            "/// Why.\n@available(*, deprecated)\nfinal class A: @unchecked Sendable {}",
            #"let a = #"b"! and c! "#, "let t = \"\"\"\n  a! \"quoted\" b!\n  \"\"\"",
        ])
    func innocent(_ text: String) {
        let file = TextFile(path: "Sources/LockerCore/A.swift", text: text)
        #expect(HouseRules.findings(in: file).isEmpty)
    }

    @Test("public is allowed where other packages use a room")
    func publicRoom() {
        let file = TextFile(path: "Sources/LockerKit/A.swift", text: "public struct A {}\n")
        #expect(HouseRules.findings(in: file).isEmpty)
    }

    @Test("a file one line too long is found, one that just fits is not")
    func fileLength() {
        let fits = String(repeating: "// line\n", count: HouseRules.longestFile)
        #expect(HouseRules.findings(in: TextFile(path: "scripts/a", text: fits)).isEmpty)
        #expect(
            HouseRules.findings(in: TextFile(path: "scripts/a", text: fits + "// line\n")).count
                == 1)
    }

    @Test("a function one line too long is found, with its name; requirements have no length")
    func functionLength() {
        func source(_ lines: Int) -> String {
            """
            protocol P {
                func without(body: Int) async throws -> [Int]
                var a: Int { get }
                init(x: Int)
            }
            func long(
                a: Int = { 1 }()
            ) async throws
                -> Int where A: B {
            \(String(repeating: "    call()\n", count: lines - 5))}
            """
        }
        func findings(_ lines: Int) -> [Finding] {
            HouseRules.findings(
                in: TextFile(path: "Sources/LockerCore/A.swift", text: source(lines)))
        }
        #expect(findings(HouseRules.longestFunction).isEmpty)
        let found = findings(HouseRules.longestFunction + 1)
        #expect(found.count == 1)
        #expect(found.first?.line == 6)
        #expect(found.first?.message.contains("long") == true)
    }
}
