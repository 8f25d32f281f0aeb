import JSONLines
import Locks
import NIOCore

/// Who waits for what on one connection.
///
/// Callers register from any thread, the event loop settles.
final class Exchange: Sendable {
    typealias Answer = Result<Reply, ControlError>
    typealias Events = AsyncThrowingStream<SiteEvent, any Error>.Continuation
    typealias ProgressListener = @Sendable (OpenAllProgress) -> Void
    typealias LineListener = @Sendable (String) -> Void

    private struct Waiting {
        let method: String
        let continuation: CheckedContinuation<Answer, Never>
    }

    private struct State {
        var lastID = 0
        var waiting: [Int: Waiting] = [:]
        var progress: [Int: ProgressListener] = [:]
        var events: Events?
        var raw: AsyncStream<String>.Continuation?
        /// The newest error that named no request: it explains a close that follows.
        var fault: DaemonFault?
        /// Why the connection ended; nil while it lives.
        var end: String?
    }

    let eventLimit: Int
    private let state = Mutex(State())

    init(eventLimit: Int) { self.eventLimit = eventLimit }

    func nextID() -> Int {
        state.withLock {
            $0.lastID += 1
            return $0.lastID
        }
    }

    /// Registers a caller; false when the connection had ended and the caller was told so.
    func wait(
        _ id: Int, _ method: String, _ continuation: CheckedContinuation<Answer, Never>
    ) -> Bool {
        let end = state.withLock {
            if $0.end == nil {
                $0.waiting[id] = Waiting(method: method, continuation: continuation)
            }
            return $0.end
        }
        if let end { continuation.resume(returning: .failure(.closed(reason: end))) }
        return end == nil
    }

    /// Ends a wait, if it is still on.
    func settle(_ id: Int, _ answer: (String) -> Answer) {
        let waiting = state.withLock { $0.waiting.removeValue(forKey: id) }
        if let waiting { waiting.continuation.resume(returning: answer(waiting.method)) }
    }

    func addProgress(_ listener: @escaping ProgressListener) -> Int {
        let id = nextID()
        state.withLock { $0.progress[id] = listener }
        return id
    }

    func removeProgress(_ id: Int) {
        state.withLock { $0.progress[id] = nil }
    }

    /// False when another stream of events is under way.
    func setEvents(_ events: Events) -> Bool {
        state.withLock {
            guard $0.events == nil else { return false }
            $0.events = events
            return true
        }
    }

    func removeEvents() {
        state.withLock { $0.events = nil }
    }

    /// From now on every line that comes goes here, undecoded.
    func setRaw(_ raw: AsyncStream<String>.Continuation) -> Bool {
        state.withLock {
            if $0.end == nil { $0.raw = raw }
            return $0.end == nil
        }
    }

    // MARK: On the event loop

    func take(_ line: UnsafeRawBufferPointer) throws(ControlError) {
        if let raw = state.withLock({ $0.raw }) {
            raw.yield(String(decoding: line, as: UTF8.self))
            return
        }
        switch try Incoming(line) {
        case .reply(let id, let answer):
            settle(id) { _ in answer.mapError(ControlError.refused) }
        case .fault(let fault):
            state.withLock { $0.fault = fault }
        case .notification("progress", let params, _):
            let step = try OpenAllProgress(params)
            for listener in state.withLock({ Array($0.progress.values) }) { listener(step) }
        case .notification("event", let params, let text):
            deliver(try SiteEvent(params, text: text))
        case .notification, .other:
            break
        }
    }

    private func deliver(_ event: SiteEvent) {
        guard let events = state.withLock({ $0.events }) else { return }
        if case .dropped = events.yield(event) {
            removeEvents()
            events.finish(throwing: ControlError.eventsOverflowed(limit: eventLimit))
        }
    }

    /// Tells everybody who waits that nothing will come any more.
    func end(_ reason: String) {
        var ended = state.withLock { state in
            let ended = state
            state = State()
            state.lastID = ended.lastID
            state.end = ended.fault?.message ?? reason
            return ended
        }
        // An error without an id that was followed by the end answers the only request there was.
        if let fault = ended.fault, ended.waiting.count == 1, let only = ended.waiting.popFirst() {
            only.value.continuation.resume(returning: .failure(.refused(fault)))
        }
        let reason = ended.fault?.message ?? reason
        for waiting in ended.waiting.values {
            let error = ControlError.connectionLost(method: waiting.method, reason: reason)
            waiting.continuation.resume(returning: .failure(error))
        }
        ended.events?.finish(
            throwing: ControlError.connectionLost(method: "subscribe", reason: reason))
        ended.raw?.finish()
    }
}

/// Cuts what the socket brings into lines and hands them to the exchange.
final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let exchange: Exchange
    private var framer: LineFramer
    private var end = "the daemon closed it"

    init(_ exchange: Exchange, limit: Int) {
        self.exchange = exchange
        framer = LineFramer(limit: limit)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { framer.append($0) }
        do throws(ControlError) {
            while try nextLine() {}
        } catch {
            end = error.description
            context.close(promise: nil)
        }
    }

    private func nextLine() throws(ControlError) -> Bool {
        var problem: ControlError?
        let outcome = framer.nextLine { line in
            do throws(ControlError) { try exchange.take(line) } catch { problem = error }
        }
        if let problem { throw problem }
        if outcome == .overlong {
            throw .malformed("a line longer than \(framer.limit) bytes")
        }
        return outcome == .line
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end = String(describing: error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        exchange.end(end)
    }
}
