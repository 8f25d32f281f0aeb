import Foundation
import TestSupport
import Testing

@Suite("import arrows")
struct ImportArrowTests {
    @Test("no room imports what the architecture does not allow")
    func checkoutKeepsArrows() {
        let files = SourceTree.checkout.files(in: "Sources", "Plugins")
        #expect(files.count > 20)
        let findings = ImportArrows.findings(in: files)
        #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
    }

    @Test("every room of the table exists")
    func tableHasNoGhosts() {
        for room in ImportArrows.rooms.keys {
            #expect(!SourceTree.checkout.files(in: room).isEmpty, "\(room) has no files")
        }
    }

    @Test("a planted import is found in a copy of a room, with file and line")
    func plantedImport() async throws {
        try await withTemporaryDirectory { folder in
            let room = SourceTree.checkout.files(in: "Sources/LockerCore")
            try #require(!room.isEmpty)
            for file in room { try write(file.text, to: "\(folder)/\(file.path)") }
            #expect(
                ImportArrows.findings(in: SourceTree(root: folder).files(in: "Sources")).isEmpty)

            let bad = "Sources/LockerCore/Lane+Socket.swift"
            try write("import LockerKit\ninternal import NIOCore\n", to: "\(folder)/\(bad)")
            let findings = ImportArrows.findings(in: SourceTree(root: folder).files(in: "Sources"))
            #expect(findings.map(\.path) == [bad])
            #expect(findings.first?.line == 2)
        }
    }

    @Test(
        "every way to write an import is seen",
        arguments: [
            "import Glibc", "package import Glibc", "@preconcurrency import Glibc",
            "@testable package import Glibc", "import struct Glibc.timespec", "  import Glibc",
            "import LockerKit; import Glibc", "@_spi(Secret) import Glibc",
        ])
    func forms(_ statement: String) {
        let file = TextFile(path: "Sources/LockerCore/A.swift", text: "\(statement)\n")
        #expect(ImportArrows.findings(in: [file]).count == 1)
    }

    @Test(
        "prose about imports is not an import",
        arguments: ["// import Glibc", "/* import Glibc */", #"let text = "import Glibc""#])
    func prose(_ text: String) {
        let file = TextFile(path: "Sources/LockerCore/A.swift", text: "\(text)\n")
        #expect(ImportArrows.findings(in: [file]).isEmpty)
    }

    @Test("a source outside every room is found")
    func stranger() {
        let file = TextFile(path: "Sources/Drawer/A.swift", text: "import LockerKit\n")
        #expect(ImportArrows.findings(in: [file]).count == 1)
    }
}
