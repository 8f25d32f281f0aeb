import ControlWire
import LockerKit
import ModuleWire
import TestSupport
import Testing

/// What code and documents both say, compared.
@Suite("documents")
struct DocumentTests {
    private let tree = SourceTree.checkout

    @Test("docs/protocol.md has every error code, method, notification and event type")
    func controlProtocol() throws {
        let text = try #require(tree.file("docs/protocol.md")).text
        let words =
            LockerError.Code.allCases.map(\.rawValue) + ControlMethod.allCases.map(\.rawValue)
            + ControlNotification.allCases.map(\.rawValue)
            + ControlEventType.allCases.map(\.rawValue)
        #expect(missing(words, in: text).isEmpty)
    }

    @Test("docs/module-protocol.md has every method and notification of the module protocol")
    func moduleProtocol() throws {
        let text = try #require(tree.file("docs/module-protocol.md")).text
        let words =
            ModuleMethod.allCases.map(\.rawValue) + ModuleNotification.allCases.map(\.rawValue)
        #expect(missing(words, in: text).isEmpty)
    }

    @Test("the manual page of lockerd.toml has every key the core reads")
    func configurationKeys() throws {
        let schemas = try #require(tree.file("Sources/SiteConfig/CoreSchemas.swift")).text
        // Manifests are for authors of modules; docs/module-protocol.md describes them.
        let ofSites = schemas.prefix(
            upTo: try #require(schemas.firstRange(of: "// MARK: module.toml")).lowerBound)
        let keys = Set(ofSites.matches(of: /"([a-z_]+)":\s/).map { String($0.output.1) })
        #expect(keys.count > 20)
        let page = try #require(tree.file("docs/man/lockerd.toml.5")).text
        #expect(missing(keys.sorted(), in: plain(page)).isEmpty)
    }

    @Test("every plugin has a manifest and a README that explains each of its options")
    func plugins() throws {
        let plugins = tree.folders(in: "Plugins")
        #expect(plugins.count >= 3)
        for plugin in plugins {
            let manifest = try #require(
                tree.file("Plugins/\(plugin)/module.toml"), "\(plugin) has no module.toml")
            let readme = try #require(
                tree.file("Plugins/\(plugin)/README.md"), "\(plugin) has no README.md")
            let options = manifest.text.matches(of: /(?m)^\s*\[options\.\w+\.(\w+)\]/)
            let keys = options.map { String($0.output.1) }
            #expect(missing(keys, in: readme.text).isEmpty, "\(plugin)")
        }
    }

    @Test("README names the two commands to begin with before anything else that can be typed")
    func readme() throws {
        let text = try #require(tree.file("README.md")).text
        let commands = text.matches(of: /(?m)^make (\w+)/).map { String($0.output.1) }
        #expect(Array(commands.prefix(2)) == ["demo", "test"])
    }

    @Test("every target that a document tells people to make exists")
    func makeTargets() throws {
        let makefile = try #require(tree.file("Makefile")).text
        let targets = Set(makefile.matches(of: /(?m)^([a-z-]+):/).map { String($0.output.1) })
        #expect(targets.isSuperset(of: ["demo", "test", "run", "bench", "install"]))
        for file in tree.files where file.isMarkdown {
            for match in file.text.matches(of: /`make ([a-z-]+)/) {
                #expect(
                    targets.contains(String(match.output.1)), "\(file.path): make \(match.output.1)"
                )
            }
        }
    }

    @Test("links between documents lead to files that exist")
    func links() {
        let findings = tree.files.filter(\.isMarkdown).flatMap {
            DocumentLinks.dead(in: $0, of: tree)
        }
        #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
    }

    @Test("a planted dead link and a planted dead heading are found")
    func plantedLinks() {
        let text =
            "# One word\n[a](LICENSE) [b](nowhere.md) [c](#one-word) [d](#two)\n`[e](code.md)`\n"
        let findings = DocumentLinks.dead(in: TextFile(path: "A.md", text: text), of: tree)
        #expect(findings.map(\.line) == [2, 2])
    }

    @Test("whatever begins like a script can be run")
    func scripts() {
        for file in tree.files(in: "scripts", ".ci") where file.text.hasPrefix("#!") {
            #expect(tree.isExecutable(file.path), "\(file.path) is not executable")
        }
    }

    /// The words of a list that a text does not have as whole words.
    private func missing(_ words: [String], in text: String) -> [String] {
        words.filter { word in
            !text.ranges(of: word).contains { range in
                let before = text[..<range.lowerBound].last
                let after = text[range.upperBound...].first
                return !isPartOfWord(before) && !isPartOfWord(after)
            }
        }
    }

    private func isPartOfWord(_ character: Character?) -> Bool {
        character.map { $0.isLetter || $0.isNumber || $0 == "_" } ?? false
    }

    /// A manual page without the escapes of its hyphens and underscores.
    private func plain(_ page: String) -> String {
        page.replacing("\\-", with: "-").replacing("\\_", with: "_").replacing(
            /\\f[BIRP]/, with: " ")
    }
}
