import ControlWire
import CoreForms
import JSONLines
import LockerCore
import LockerKit
import Logging
import NIOCore

/// One request of a peer that is known, for a method that exists.
struct Call: Sendable {
    let method: ControlMethod
    /// The parameters as they came.
    let members: JSONObject
    let grant: Grant
    let server: ServerContext
    /// When its line was read: what deadlines count from.
    let arrivedAt: ContinuousClock.Instant
    /// Sends the caller a `progress` notification.
    var progress: @Sendable (JSON) -> Void = { _ in }

    /// The parameters, with any but the `known` ones refused.
    func parameters(_ known: String...) throws(ControlFault) -> Parameters {
        try Parameters(members, of: method, known: known)
    }

    var limits: ControlLimits { server.limits }
    var core: any ControlCore { server.core }

    func log(_ what: String) {
        server.logger.info(
            "\(method.rawValue) \(what)",
            metadata: ["uid": "\(grant.peer.uid)", "pid": "\(grant.peer.pid)"])
    }
}

/// Writes a result at once, on the event loop; touches nothing that could keep it waiting.
typealias PromptAnswer = (Call, inout ByteBuffer) throws(ControlFault) -> Void

/// What a held request came to.
struct HeldResult: Sendable {
    let bytes: ByteBuffer
    /// The operation that the request has begun, by which the result can be asked for again.
    var operation: String?

    init(_ bytes: ByteBuffer) {
        self.bytes = bytes
    }

    init(_ json: JSON, operation: String? = nil) {
        bytes = ByteBuffer(bytes: json.encoded)
        self.operation = operation
    }
}

/// Finds a result in its own time.
typealias HeldAnswer = @Sendable (Call) async throws(ControlFault) -> HeldResult

enum MethodHandler {
    case prompt(PromptAnswer)
    case held(HeldAnswer)
    /// Belongs to the connection, which holds the subscription.
    case subscription
}

extension ControlMethod {
    var handler: MethodHandler {
        switch self {
        case .version: .prompt(VersionMethod.answer)
        case .status: .prompt(StatusMethod.answer)
        case .controllers: .prompt(ControllersMethod.answer)
        case .schema: .prompt(SchemaMethod.answer)
        case .open: .held(OpenMethod.answer)
        case .openAll: .held(OpenAllMethod.answer)
        case .operation: .held(OperationMethod.answer)
        case .cancel: .held(CancelMethod.answer)
        case .service: .held(ServiceMethod.answer)
        case .restart: .held(RestartMethod.answer)
        case .act: .held(ActMethod.answer)
        case .reload: .held(ReloadMethod.answer)
        case .audit: .held(AuditMethod.answer)
        case .heartbeat: .held(HeartbeatMethod.answer)
        case .subscribe: .subscription
        }
    }
}

/// Runs a call of the core, its errors turned into faults.
func asking<Answer>(
    _ body: () async throws(LockerError) -> Answer
) async throws(ControlFault) -> Answer {
    do throws(LockerError) {
        return try await body()
    } catch {
        throw ControlFault(error)
    }
}
