import Foundation
import JSONLines
import SiteConfig
import TestSupport
import Testing

@Suite struct `A link file that is edited` {
    private static let file = """
        # The wall by the door.
        driver = "gpio-expander"

        [link]

        [[controller]]
        id = "a"
        chip = "x"
        fires_at = "high"   # ask Kim

        [[controller.locker]]
        number = 2
        name = "B"

        # The second one.
        [[controller]]
        id = "b"
        chip = 'y'
        """

    private func edit(
        _ text: String = Self.file, _ body: (inout LinkFileEditor) throws -> Void
    ) async throws -> String {
        try await withTemporaryDirectory { folder in
            let path = "\(folder)/yard.toml"
            try write(text, to: path)
            chmod(path, 0o640)
            var editor = try LinkFileEditor(path: path)
            try body(&editor)
            try editor.write()
            var facts = stat()
            #expect(stat(path, &facts) == 0 && facts.st_mode & 0o777 == 0o640)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder) == ["yard.toml"])
            return try String(contentsOfFile: path, encoding: .utf8)
        }
    }

    @Test func `keeps everything that is not changed`() async throws {
        #expect(try await edit { _ in } == Self.file)
        let text = try await edit { editor in
            try editor.set("fires_at", "low", of: "a")
            try editor.set("name", "B \"the\" door", of: "a", locker: 2)
        }
        #expect(
            text
                == Self.file.replacing("\"high\"   # ask", with: "\"low\"   # ask")
                .replacing("name = \"B\"", with: #"name = "B \"the\" door""#))
    }

    @Test func `keeps its line endings`() async throws {
        let file = Self.file.replacing("\n", with: "\r\n")
        let text = try await edit(file) { editor in
            try editor.set("fires_at", "low", of: "a")
            try editor.set("bias", "pull-up", of: "a")
            try editor.set("input", 9, of: "a", locker: 2)
            try editor.set("input", 8, of: "b", locker: 1)
            try editor.remove("name", of: "a", locker: 2)
        }
        #expect(!text.replacing("\r\n", with: "").contains { $0 == "\r" || $0 == "\n" })
        #expect(text.hasPrefix("# The wall by the door.\r\ndriver = \"gpio-expander\"\r\n"))
        #expect(text.contains("fires_at = \"low\"   # ask Kim\r\n"))
        #expect(text.hasSuffix("\r\n[[controller.locker]]\r\nnumber = 1\r\ninput = 8\r\n"))
    }

    @Test func `loses a key, but not what somebody wrote behind it`() async throws {
        let text = try await edit { editor in
            try editor.remove("number_of_doors", of: "a", locker: 2)
            try editor.remove("name", of: "b", locker: 2)
            try editor.remove("name", of: "a", locker: 2)
        }
        #expect(text == Self.file.replacing("name = \"B\"\n", with: ""))
        let commented = Self.file.replacing("name = \"B\"", with: "name = \"B\" # the blue one")
        #expect(
            try await edit(commented) { try $0.remove("name", of: "a", locker: 2) }
                == Self.file.replacing("name = \"B\"", with: "# the blue one"))
    }

    @Test func `is left alone where somebody else has changed it`() async throws {
        try await withTemporaryDirectory { folder in
            let path = "\(folder)/yard.toml"
            try write(Self.file, to: path)
            var editor = try LinkFileEditor(path: path)
            try editor.set("fires_at", "low", of: "a")
            try editor.write()
            try editor.set("fires_at", "high", of: "a")
            try write("# mine\n" + Self.file, to: path)
            #expect(throws: LinkFileEditor.Refusal.self) { try editor.write() }
            #expect(throws: LinkFileEditor.Refusal.self) { try editor.restore() }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "# mine\n" + Self.file)
        }
    }

    @Test func `is changed where a link leads to, and only as text`() async throws {
        try await withTemporaryDirectory { folder in
            try write(Self.file, to: "\(folder)/shared.toml")
            let path = "\(folder)/yard.toml"
            try FileManager.default.createSymbolicLink(
                atPath: path, withDestinationPath: "shared.toml")
            var editor = try LinkFileEditor(path: path)
            try editor.set("fires_at", "low", of: "a")
            try editor.write()
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: path) == "shared.toml")
            #expect(
                try String(contentsOfFile: "\(folder)/shared.toml", encoding: .utf8)
                    .contains("fires_at = \"low\""))
            try Data([UInt8]("# caf".utf8) + [0xE9, 0x0A]).write(
                to: URL(fileURLWithPath: "\(folder)/latin.toml"))
            #expect(throws: LinkFileEditor.Refusal.self) {
                try LinkFileEditor(path: "\(folder)/latin.toml")
            }
        }
    }

    @Test func `gets new keys and tables where they belong`() async throws {
        let text = try await edit { editor in
            try editor.set("polarity_known", true, of: "a")
            try editor.set("input", 7, of: "a", locker: 2)
            try editor.set("input", 9, of: "a", locker: 1)
            try editor.set("input", 3, of: "b", locker: 4)
        }
        #expect(
            text
                == """
                # The wall by the door.
                driver = "gpio-expander"

                [link]

                [[controller]]
                polarity_known = true
                id = "a"
                chip = "x"
                fires_at = "high"   # ask Kim

                [[controller.locker]]
                input = 7
                number = 2
                name = "B"

                [[controller.locker]]
                number = 1
                input = 9

                # The second one.
                [[controller]]
                id = "b"
                chip = 'y'

                [[controller.locker]]
                number = 4
                input = 3

                """)
    }

    @Test(arguments: [
        "controller = [{ id = \"a\", fires_at = \"high\" }]",
        "[[controller]]\nid = \"a\"\nfires_at = \"\"\"\nhigh\"\"\"",
        "[[controller]]\nid = \"a\"\nfires_at = 'high'",
        "[[controller]]\nid = \"b\"",
        "[[controller]]\nid = \"a\"\nfires_at = [\n1 ]",
    ])
    func `is left alone where it is written in a way that is not understood`(
        text: String
    ) async throws {
        let after = try await edit(text) { editor in
            #expect(throws: LinkFileEditor.Refusal.self) {
                try editor.set("fires_at", "low", of: "a")
            }
            // What could not be done has changed nothing.
            #expect(editor.text == text)
        }
        #expect(after == text)
    }

    @Test func `can be put back`() async throws {
        let text = try await edit { editor in
            try editor.set("fires_at", "low", of: "a")
            try editor.write()
            try editor.restore()
        }
        #expect(text == Self.file)
    }
}
