import Foundation
package import LockerKit
import SiteConfig
import SiteModel
import TestSupport

/// A link made the way the daemon makes it: from TOML, through a driver's shipped manifest and board profiles.
package enum LinkFixture {
    /// The link as the configuration's reader understands it; throws what it objects to.
    package static func load(
        _ toml: String, driver: String, folder: String, boards: [String: String]
    ) async throws -> LinkDescription {
        try await withTemporaryDirectory { root in
            let module = "\(root)/modules/\(driver)"
            let files = FileManager.default
            try files.createDirectory(atPath: module, withIntermediateDirectories: true)
            let source = "\(Checkout.root)/Plugins/\(folder)"
            for name in ["module.toml", "boards"]
            where name != "boards" || files.fileExists(atPath: "\(source)/\(name)") {
                try files.copyItem(atPath: "\(source)/\(name)", toPath: "\(module)/\(name)")
            }
            try write(
                "site = \"bench\"\n[power.main]\nat_once = 1\ngap_ms = 0\n",
                to: "\(root)/lockerd.toml")
            try write("driver = \"\(driver)\"\n" + toml, to: "\(root)/links.d/bench.toml")
            for (name, text) in boards { try write(text, to: "\(root)/boards/\(name).toml") }
            let result = SiteLoader(directory: root, moduleDirectories: ["\(root)/modules"]).load()
            guard result.problems.isEmpty, let plan = result.plan?.links.first else {
                throw Timeout(
                    description: result.problems.map(\.description).joined(separator: "; "))
            }
            return LinkDescription(
                name: plan.name, options: Options(plan.options, path: "link."),
                controllers: plan.controllers.map { controller in
                    ControllerDescription(
                        id: controller.id, options: Options(controller.options),
                        board: Options(controller.board, path: "board."),
                        lockers: controller.lockers.map { locker in
                            LockerDescription(
                                number: locker.number, hasSensor: locker.hasSensor,
                                options: Options(locker.options))
                        })
                })
        }
    }
}

/// The error `body` ends with.
package func failure<Value: Sendable>(
    _ body: () async throws(LockerError) -> Value
) async throws -> LockerError {
    let value: Value
    do throws(LockerError) {
        value = try await body()
    } catch {
        return error
    }
    throw Timeout(description: "no error but \(value)")
}
