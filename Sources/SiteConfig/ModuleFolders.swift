import Glibc

/// Where modules are looked for when `lockerd.toml` does not say.
package enum ModuleFolders {
    /// Beside the program as a build leaves it, then as an installation does.
    package static var besideProgram: [String] {
        ["\(programFolder)/lockerd-modules", "\(programFolder)/../libexec/lockerd/modules"]
    }

    /// The folder that holds this program.
    private static var programFolder: String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return "/usr/bin" }
        let path = String(
            decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "/"
    }
}
