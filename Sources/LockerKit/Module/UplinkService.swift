import JSONLines
import Locks
import ModuleWire

/// The calls of an uplink module, carried out by an ``Uplink``.
final class UplinkService<Carrier: Uplink>: ModuleService {
    private let carrier = Mutex<Carrier?>(nil)
    private let surroundings: ModuleSurroundings

    init(_ surroundings: ModuleSurroundings) {
        self.surroundings = surroundings
    }

    var kind: String { "uplink" }
    var name: String { Carrier.name }
    var version: String { Carrier.version }
    var methods: Set<ModuleMethod> { [.configure, .deliver] }

    func call(
        _ method: ModuleMethod, _ params: JSON, readAt: ContinuousClock.Instant
    ) async throws(ErrorData) -> JSON {
        do {
            switch method {
            case .configure: try configure(ConfigureUplinkParams(json: params))
            case .deliver: try await deliver(DeliverParams(json: params))
            case .hello, .start, .open, .doors, .act, .stop, .cancel, .ping: break
            }
            return [:]
        } catch let error as LockerError {
            throw error.wire
        } catch let error as WireError {
            throw ErrorData(params: error)
        } catch {
            throw LockerError(.internal, "\(error)", fired: .no, sent: .maybe).wire
        }
    }

    func stop() async {
        await carrier.withLock { $0 }?.stop()
    }

    private func configure(_ params: ConfigureUplinkParams) throws(LockerError) {
        let context = UplinkContext(
            name: params.name, clock: surroundings.clock, logger: surroundings.logger)
        let made = try Carrier(
            options: Options(params.options, path: "uplink."), site: params.site, context: context)
        carrier.withLock { $0 = made }
    }

    private func deliver(_ params: DeliverParams) async throws(LockerError) {
        guard let carrier = carrier.withLock({ $0 }) else {
            throw LockerError(.internal, "deliver came before configure had ended")
        }
        try await carrier.deliver(params.beat.text)
    }
}
