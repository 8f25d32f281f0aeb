import JSONLines
import TestSupport
import Testing

@testable import SiteConfig

@Suite struct `Lines of keys` {
    private func line(_ text: String, _ path: Path) -> Int? {
        TOMLScanner(Array(text.utf8)).lines.exactLine(of: path)
    }

    @Test func `are found for plain, dotted and quoted keys`() {
        let text = """
            # comment = 1
            a = 1

            b.c = 2
              "d e"."f.g"  =  3
            'h"i' = 4
            "\\u00e9\\t" = 5
            1.5 = 6
            """
        #expect(line(text, [.key("a")]) == 2)
        #expect(line(text, [.key("b")]) == 4)
        #expect(line(text, [.key("b"), .key("c")]) == 4)
        #expect(line(text, [.key("d e"), .key("f.g")]) == 5)
        #expect(line(text, [.key("h\"i")]) == 6)
        #expect(line(text, [.key("é\t")]) == 7)
        #expect(line(text, [.key("1"), .key("5")]) == 8)
        #expect(line(text, [.key("comment")]) == nil)
    }

    @Test func `are found in tables and arrays of tables`() {
        let text = """
            [a]
            x = 1
            [ a . b ] # c
            x = 2
            [[c]]
            x = 3
            [[c]]
            x = 4
            [[c.d]]
            x = 5
            [c.e]
            x = 6
            """
        #expect(line(text, [.key("a"), .key("x")]) == 2)
        #expect(line(text, [.key("a"), .key("b")]) == 3)
        #expect(line(text, [.key("a"), .key("b"), .key("x")]) == 4)
        #expect(line(text, [.key("c"), .index(0)]) == 5)
        #expect(line(text, [.key("c"), .index(0), .key("x")]) == 6)
        #expect(line(text, [.key("c"), .index(1), .key("x")]) == 8)
        #expect(line(text, [.key("c"), .index(1), .key("d"), .index(0), .key("x")]) == 10)
        #expect(line(text, [.key("c"), .index(1), .key("e"), .key("x")]) == 12)
    }

    @Test func `are not led astray by strings, comments and brackets`() {
        let text = #"""
            a = """
            x = 1
            \""" ["
            """""
            b = '''
            [t]
            '''
            c = [ # ] "
              "]", ']', """
            ]""",
              { d = 1, e = "}" },
            ]
            f = "\\"
            g = 1
            """#
        #expect(line(text, [.key("a")]) == 1)
        #expect(line(text, [.key("x")]) == nil)
        #expect(line(text, [.key("b")]) == 5)
        #expect(line(text, [.key("c")]) == 8)
        #expect(line(text, [.key("f")]) == 13)
        #expect(line(text, [.key("g")]) == 14)
    }

    @Test func `of what stands inside a value are the line of the key`() {
        let lines = TOMLScanner(Array("\n\na = { b = 1 }\nc = [\n1,\n2]\n".utf8)).lines
        #expect(lines.line(of: [.key("a"), .key("b")]) == 3)
        #expect(lines.line(of: [.key("c"), .index(1)]) == 4)
        #expect(lines.line(of: [.key("nothing")]) == 1)
    }

    @Test func `count CRLF once and skip a byte order mark`() {
        let text = "\u{FEFF}a = 1\r\nb = \"\"\"\r\n\r\n\"\"\"\r\nc = 2\r\n"
        #expect(line(text, [.key("a")]) == 1)
        #expect(line(text, [.key("b")]) == 2)
        #expect(line(text, [.key("c")]) == 5)
    }
}

/// A valid TOML document made at random, with the line of every key as its maker knows it.
private struct RandomDocument {
    var text = ""
    var keys: [(path: Path, line: Int)] = []
    private var line = 1
    private var serial = 0
    private var random: SeededGenerator

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        for _ in 0..<Int.random(in: 0...4, using: &random) { pair(in: []) }
        var arrays: [String: Int] = [:]
        for _ in 0..<Int.random(in: 0...6, using: &random) { section(&arrays) }
    }

    private mutating func section(_ arrays: inout [String: Int]) {
        let padding = pick(["", " ", "\t"])
        if Bool.random(using: &random) {
            let name = pick(["one", "two"])
            let index = arrays[name, default: 0]
            arrays[name] = index + 1
            keys.append(([.key(name), .index(index)], line))
            add("\(padding)[[\(padding)\(name)\(padding)]]\(ending())\n")
            pairs(in: [.key(name), .index(index)])
            if Bool.random(using: &random) {
                let (written, name) = key()
                keys.append(([.key(pathName(index, arrays)), .index(index), .key(name)], line))
                add("[\(pathName(index, arrays)).\(written)]\n")
                pairs(in: [.key(pathName(index, arrays)), .index(index), .key(name)])
            }
        } else {
            let (written, name) = key()
            keys.append(([.key(name)], line))
            add("\(padding)[\(written)]\(ending())\n")
            pairs(in: [.key(name)])
        }
    }

    /// The array of tables whose newest element is `index` right now.
    private func pathName(_ index: Int, _ arrays: [String: Int]) -> String {
        guard
            case .key(let name)? = keys.last(where: {
                $0.path.count == 2 && $0.path[1] == .index(index)
            })?.path[0]
        else { return "one" }
        return name
    }

    private mutating func pairs(in table: Path) {
        for _ in 0..<Int.random(in: 0...3, using: &random) { pair(in: table) }
    }

    private mutating func pair(in table: Path) {
        if Int.random(in: 0..<4, using: &random) == 0 {
            add(pick(["\n", "# [x] \" ''' \n", "  \t\n"]))
        }
        let parts = (0..<Int.random(in: 1...3, using: &random)).map { _ in key() }
        var path = table
        for part in parts {
            path.append(.key(part.name))
            keys.append((path, line))
        }
        let dot = pick([".", " . ", ".\t"])
        add(
            "\(pick(["", "  "]))\(parts.map(\.written).joined(separator: dot))\(pick([" = ", "=", " =\t"]))"
        )
        add(value(depth: 0, inline: false))
        add("\(ending())\n")
    }

    /// A key that no other one equals.
    private mutating func key() -> (written: String, name: String) {
        serial += 1
        return switch Int.random(in: 0..<5, using: &random) {
        case 0: ("\"q.\(serial) [=]#\"", "q.\(serial) [=]#")
        case 1: ("'l.\(serial) \"\\'", "l.\(serial) \"\\")
        case 2: ("\"e\(serial)\\\"\\u0041\\n\"", "e\(serial)\"A\n")
        case 3: ("\(serial)", "\(serial)")
        default: ("bare_-\(serial)", "bare_-\(serial)")
        }
    }

    private mutating func value(depth: Int, inline: Bool) -> String {
        switch Int.random(in: 0..<(depth < 3 ? 11 : 8), using: &random) {
        case 0: return "\"a \\\" ] } # = \\\\\""
        case 1: return "'\\'"
        case 2: return "1.5e3"
        case 3: return "2026-01-01T00:00:00.5Z"
        case 4:
            return pick(["true", "-7", "0xFF", "inf", "1e-7", "1979-05-27 07:32:00", "1979-05-27"])
        case 5: return "\"\"\"x\n[y]\n\\\"\"\" z = \\\n  1\"\" \"\"\"\"\""
        case 6: return "'''\n[[a]]\\\nb = ''\n'''"
        case 7: return "\"\""
        case 8:
            let items = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                value(depth: depth + 1, inline: inline)
            }
            return
                "[\(items.joined(separator: inline ? ", " : ",\n # ] \"\n"))\(items.isEmpty || inline ? "" : ",\n")]"
        default:
            let items = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                let (left, right) = (key(), key())
                return "\(left.written).\(right.written) = \(value(depth: depth + 1, inline: true))"
            }
            return "{ \(items.joined(separator: ", ")) }"
        }
    }

    private mutating func ending() -> String { pick(["", " ", "# end ] \" '''", "\t#"]) }

    private mutating func pick(_ choices: [String]) -> String {
        choices.randomElement(using: &random) ?? ""
    }

    private mutating func add(_ piece: String) {
        text += piece
        line += piece.utf8.count { $0 == UInt8(ascii: "\n") }
    }
}

@Suite struct `The scanner beside the parser` {
    @Test func `agrees on every key of valid documents`() throws {
        for seed in 0..<UInt64(800) {
            let made = RandomDocument(seed: seed)
            let document: Document
            switch Document.parse(Array(made.text.utf8), as: "t") {
            case .success(let parsed): document = parsed
            case .failure(let failure):
                Issue.record("seed \(seed): \(failure.problem)\n\(made.text)")
                return
            }
            for (path, line) in made.keys {
                #expect(
                    document.lines.exactLine(of: path) == line, "seed \(seed) \(path)\n\(made.text)"
                )
                #expect(
                    find(path, in: .object(document.root)) != nil,
                    "seed \(seed) \(path)\n\(made.text)")
            }
        }
    }

    private func find(_ path: Path, in root: JSON) -> JSON? {
        path.reduce(root as JSON?) { node, step in
            switch step {
            case .key(let key): node?[key]
            case .index(let index):
                node?.arrayValue.flatMap { $0.indices.contains(index) ? $0[index] : nil }
            }
        }
    }
}
