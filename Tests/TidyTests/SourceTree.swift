import Foundation
import TestSupport

/// One text file of a checkout.
struct TextFile {
    /// Relative to the checkout's root: `Sources/LockerCore/Lane.swift`.
    let path: String
    let text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    var isSwift: Bool { path.hasSuffix(".swift") }
    var isMarkdown: Bool { path.hasSuffix(".md") }
}

/// Something a rule of the house does not allow, as `path:line: message`.
struct Finding: CustomStringConvertible {
    let path: String
    var line: Int?
    let message: String

    var description: String { "\(path)\(line.map { ":\($0)" } ?? ""): \(message)" }
}

/// The written part of a checkout: what people read and edit, not what is built.
struct SourceTree {
    static let checkout = SourceTree(root: Checkout.root)

    private static let folders = [
        "Sources", "Plugins", "Tests", "docs", "etc", "examples", "scripts", ".ci",
    ]

    let root: String
    let files: [TextFile]

    init(root: String) {
        self.root = root
        let manager = FileManager.default
        var paths = (try? manager.contentsOfDirectory(atPath: root)) ?? []
        paths.removeAll { $0.hasPrefix(".") || $0 == "Package.resolved" }
        paths.removeAll { Self.isFolder("\(root)/\($0)") }
        for folder in Self.folders { paths += Self.files(below: folder, of: root) }
        files = paths.sorted().compactMap { path in
            guard let data = manager.contents(atPath: "\(root)/\(path)"),
                let text = String(data: data, encoding: .utf8)
            else { return nil }
            return TextFile(path: path, text: text)
        }
    }

    /// Files whose path starts with one of the folders, all of them without any.
    func files(in folders: String...) -> [TextFile] {
        guard !folders.isEmpty else { return files }
        return files.filter { file in folders.contains { file.path.hasPrefix("\($0)/") } }
    }

    func file(_ path: String) -> TextFile? { files.first { $0.path == path } }

    func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(root)/\(path)")
    }

    func isExecutable(_ path: String) -> Bool {
        FileManager.default.isExecutableFile(atPath: "\(root)/\(path)")
    }

    /// Names of the folders directly below a folder.
    func folders(in folder: String) -> [String] {
        let names =
            (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)")) ?? []
        return names.filter { Self.isFolder("\(root)/\(folder)/\($0)") }.sorted()
    }

    // By hand, because an enumerator does not go through symbolic links.
    private static func files(below folder: String, of root: String) -> [String] {
        let names =
            (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)")) ?? []
        return names.flatMap { name -> [String] in
            let path = "\(folder)/\(name)"
            if name == "__pycache__" { return [] }
            return isFolder("\(root)/\(path)") ? files(below: path, of: root) : [path]
        }
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
            && isFolder.boolValue
    }
}
