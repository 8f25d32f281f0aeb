import JSONLines
import LockerKit
import ModuleWire
import SiteModel

extension ModuleSession {
    /// A call made while the module gets ready: what it refuses, and its death, become a reason why it does not serve.
    func ask(
        _ method: ModuleMethod, _ params: JSON, within limit: Duration
    ) async throws(StartFailure) -> JSON {
        do throws(LockerError) {
            return try await connection.call(method, params, within: limit)
        } catch {
            if connection.closed.current != nil {
                throw StartFailure(ending: .died, reason: await deathReason())
            }
            throw StartFailure(
                ending: .refused, reason: "refused \(method.rawValue): \(error.message)")
        }
    }

    /// Waits until the process was reaped, also in a task that is cancelled.
    func deathReason() async -> String {
        await Task { await death.wait() }.value ?? "was stopped"
    }
}

extension LockerError {
    /// What a module sent, in a form that may go into a log and to clients.
    init(fromModule data: ErrorData) {
        self.init(
            ErrorData(
                code: data.code, message: LogLines.printable(data.message), fired: data.fired,
                sent: data.sent))
    }
}

extension ConfigureDriverParams {
    init(_ link: LinkPlan) {
        self.init(
            link: link.name, options: link.options,
            controllers: link.controllers.map { controller in
                Controller(
                    id: controller.id, options: controller.options, board: controller.board,
                    lockers: controller.lockers.map {
                        Locker(number: $0.number, hasSensor: $0.hasSensor, options: $0.options)
                    })
            })
    }
}
