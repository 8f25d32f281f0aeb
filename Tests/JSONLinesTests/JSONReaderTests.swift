import Foundation
import JSONLines
import TestSupport
import Testing

@Suite struct JSONReaderTests {
    private static let good: [(String, JSON)] = [
        ("null", .null), ("true", true), (" [ 1 , -0, 2.5e1 ] ", [1, 0, 25.0]),
        (#""a\u00e9\n\ud83d\ude00""#, "aé\n😀"), ("{}", [:]),
        (#"{"b":1,"a":{"c":[]}}"#, ["b": 1, "a": ["c": []]]),
        ("9223372036854775807", .int(.max)),
        ("9223372036854775808", .double(9_223_372_036_854_775_808)),
    ]

    @Test(arguments: good)
    func readsWhatIsJSON(text: String, value: JSON) throws {
        #expect(try JSONReader.parse(text) == value)
    }

    @Test(arguments: [
        ("", 0, "the text ends too early"), ("01", 1, "want the end of the text"),
        ("[1,]", 3, "want a value"), ("{\"a\":1,\"a\":2}", 7, "member \"a\" stands twice"),
        ("\"\\ud800\"", 1, "a lone surrogate"),
        ("\"a\nb\"", 2, "a control character inside a string"),
        ("1e999", 0, "a number out of range"), ("+1", 0, "want a value"),
        ("nul", 0, "want a value"),
        ("{\"a\" 1}", 5, "want a colon"), ("\"abc", 4, "a string without its closing quote"),
        ("\"\\x\"", 1, "no such escape"), ("NaN", 0, "want a value"),
    ])
    func refusesTheRestAndSaysWhere(text: String, offset: Int, problem: String) {
        #expect(throws: JSONSyntaxError(offset: offset, problem: problem)) {
            try JSONReader.parse(text)
        }
    }

    @Test func refusesIllFormedUTF8() {
        #expect(throws: JSONSyntaxError.self) {
            try JSONReader.parse([0x22, 0xC3, 0x28, 0x22] as [UInt8])
        }
    }

    @Test func takesTheDeepestNestingAndNotOneLevelMore() throws {
        let limit = JSONReader.maximumDepth
        let deepest = String(repeating: "[", count: limit) + String(repeating: "]", count: limit)
        _ = try JSONReader.parse(deepest)
        #expect(throws: JSONSyntaxError.self) { try JSONReader.parse("[\(deepest)]") }
        // Far deeper input must be refused, not overflow the stack.
        #expect(throws: JSONSyntaxError.self) {
            try JSONReader.parse(String(repeating: "[", count: 1_000_000))
        }
    }

    @Test func skippingAcceptsWhatReadingAcceptsExceptDoubledMembers() throws {
        var random = SeededGenerator(seed: 7)
        for text in Self.corpus(&random, count: 3000) {
            let isRead = (try? JSONReader.parse(text)) != nil
            let isSkipped = text.withUnsafeBytes { raw in
                var reader = JSONReader(raw)
                return (try? reader.skipValue()) != nil && (try? reader.end()) != nil
            }
            if isRead { #expect(isSkipped, "\(String(decoding: text, as: UTF8.self))") }
        }
    }

    @Test func whatWasWrittenReadsBackTheSame() throws {
        var random = SeededGenerator(seed: 11)
        for text in Self.corpus(&random, count: 2000) {
            guard let value = try? JSONReader.parse(text) else { continue }
            // Compared as text: a whole number loses its ".0" on the way.
            #expect(try JSONReader.parse(value.encoded).encoded == value.encoded)
        }
    }

    /// Python's `json` shares no code with ours. It is laxer in known ways, which the script takes back.
    @Test func agreesWithPythonOnThousandsOfMutatedTexts() async throws {
        var random = SeededGenerator(seed: 2026)
        let texts = Self.corpus(&random, count: 4000)
        try await withTemporaryDirectory { folder in
            let lines = texts.map { $0.map { String(format: "%02x", $0) }.joined() }
            try write(lines.joined(separator: "\n"), to: "\(folder)/texts")
            try write(Self.judge, to: "\(folder)/judge.py")
            let python = try ChildProcess(
                "/usr/bin/env", ["python3", "\(folder)/judge.py", "\(folder)/texts"])
            #expect(try await python.exitStatus() == 0)
            try await eventually("all verdicts") {
                python.standardOutput.filter { $0 == "\n" }.count == texts.count
            }
            let verdicts = python.standardOutput.split(separator: "\n")
            for (text, verdict) in zip(texts, verdicts) {
                let ours = (try? JSONReader.parse(text)) == nil ? "bad" : "good"
                #expect(ours == verdict, "\(String(decoding: text, as: UTF8.self))")
            }
            #expect(Set(verdicts).count == 2, "the corpus holds both good and bad texts")
        }
    }

    private static func corpus(_ random: inout SeededGenerator, count: Int) -> [[UInt8]] {
        let seeds = [
            #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":["wall/3",103]}}"#,
            #"[1,-2.5e3,0.1,true,false,null,"\u00e9\\\"\/",[],{}]"#,
            #"{"a":{"b":[{"c":"d"}]},"e":"😀"}"#, " \t[ 0 , 10 ]\r\n", "\"\\ud83d\\ude00\"", "-0",
        ].map { Array($0.utf8) }
        return (0..<count).map { index in
            let seed = seeds[index % seeds.count]
            return index < seeds.count ? seed : random.mutate(seed)
        }
    }

    private static let judge = """
        import json, sys
        def no(_): raise ValueError
        def unique(pairs):
            if len({k for k, _ in pairs}) != len(pairs): raise ValueError
            return dict(pairs)
        def real(text):
            value = float(text)
            if value in (float("inf"), float("-inf")): raise ValueError
            return value
        for line in open(sys.argv[1]).read().split("\\n"):
            try:
                value = json.loads(bytes.fromhex(line).decode("utf-8"), parse_constant=no,
                                   object_pairs_hook=unique, parse_float=real)
                json.dumps(value, ensure_ascii=False).encode("utf-8")
                print("good")
            except ValueError:
                print("bad")
        """
}
