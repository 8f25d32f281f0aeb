package import JSONLines
import SiteModel

/// The board profiles that controllers of one driver can name, and the driver's program, for an installer's tools.
package struct ProfileShelf: Sendable {
    /// Why there is none.
    package struct Missing: Error, CustomStringConvertible {
        package let description: String
    }

    /// The driver's program.
    package let program: String
    /// Each profile with its defaults filled in; the site's own before those that the driver ships.
    package let profiles: JSONObject
    /// What is wrong with profiles that were left out.
    package let problems: [String]

    /// - Parameters:
    ///   - driver: the module's name.
    ///   - directory: the config folder, also for `module_dirs`; what is not there is not missed.
    package init(
        of driver: String, directory: String, moduleDirectories: [String]
    ) throws(Missing) {
        let (site, _) = SiteFile.read(
            directory: directory, moduleDirectories: moduleDirectories, accounts: .system)
        let folders = site.plan?.moduleDirectories ?? moduleDirectories
        var catalog = ModuleCatalog(directories: folders, directory: directory) { _ in nil }
        let module: Module
        switch catalog.module(driver) {
        case .found(let found): module = found
        case .broken(let problems):
            throw Missing(description: problems.map(\.description).joined(separator: "; "))
        case .missing(let searched):
            throw Missing(description: "no driver \(driver): \(searched)")
        }
        program = "\(module.plan.directory)/\(module.plan.executable)"
        let shelves = ["\(directory)/boards", "\(module.plan.directory)/boards"]
        let names = Set(
            shelves.flatMap { (try? listFolder($0)) ?? [] }.filter { $0.hasSuffix(".toml") }
                .map { String($0.dropLast(5)) })
        var profiles = JSONObject()
        var problems: [String] = []
        for name in names.sorted() {
            switch catalog.board(name, for: module) {
            case .found(let profile): profiles[name] = .object(profile.values)
            // It may be wrong, or the site's own for another driver: nobody can tell from here.
            case .broken(_, let found): problems += found.prefix(1).map(\.description)
            case .missing: break
            }
        }
        self.profiles = profiles
        self.problems = problems
    }
}
