import ControlWire
import JSONLines
import LockerCore
import Logging
import NIOCore

/// The replies of one batch, collected until the last of them is there.
final class Batch {
    var remaining: Int
    var replies: ByteBuffer
    var carriesSubscription = false

    init(count: Int, _ replies: ByteBuffer) {
        remaining = count
        self.replies = replies
    }
}

extension ControlConnection {
    /// Serves one line. Touches everything but the framer.
    func serve(_ line: UnsafeRawBufferPointer) {
        if serveStatusOfOne(line) { return }
        guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) else { return }
        switch RequestLine(line, limits: server.limits) {
        case .fault(let reason): fault(reason)
        case .single(let element): serve(element, in: nil)
        case .batch(let elements):
            let batch = Batch(
                count: elements.count, channel.allocator.buffer(capacity: 512 * elements.count))
            for element in elements { serve(element, in: batch) }
        }
    }

    /// The short way for the commonest request; false leaves it to the general one.
    private func serveStatusOfOne(_ line: UnsafeRawBufferPointer) -> Bool {
        guard let request = StatusOfOne(line), seesEverything else { return false }
        let start = out.writerIndex
        out.writeStaticString("{\"jsonrpc\":\"2.0\",\"id\":")
        out.writeBytes(UnsafeRawBufferPointer(rebasing: line[request.id]))
        out.writeStaticString(",\"result\":")
        guard server.encoder.writeOne(request.locker, in: line, into: &out) else {
            out.moveWriterIndex(to: start)
            return false
        }
        out.writeStaticString("}\n")
        return true
    }

    private func serve(_ element: RequestLine.Element, in batch: Batch?) {
        switch element {
        case .invalid(let id, let reason): reply(id, .failure(reason), in: batch)
        case .request(let request): serve(request, request.id, in: batch)
        }
    }

    /// Without an id it is a notification: carried out like a request, and not answered. Locks are not moved for somebody who
    /// does not want to know what came of it.
    private func serve(_ request: Request, _ id: [UInt8]?, in batch: Batch?) {
        guard let method = ControlMethod(rawValue: request.method) else {
            return reply(id, .failure(.methodNotFound(request.method)), in: batch)
        }
        // Nothing by position is nothing by name. But an empty list must never come to mean the whole site.
        if let count = request.positional, count > 0 || method.movesHardware {
            let fault = ControlFault.invalidParams(
                "params is an array; want an object, for parameters go by name", param: "params")
            return reply(id, .failure(fault), in: batch)
        }
        if id == nil, method.movesHardware {
            noteIgnored(method)
            return done(batch)
        }
        guard let grant = currentGrant() else { return }
        if batch != nil, batchedBytes > server.limits.batchReplyBytes {
            let limit = server.limits.batchReplyBytes
            return reply(
                id,
                .failure(.busy("the batch's replies exceed \(limit) bytes; ask for less at once")),
                in: batch)
        }
        let call = Call(
            method: method, members: request.params, grant: grant, server: server,
            arrivedAt: server.clock.now)
        switch method.handler {
        case .prompt(let answer): prompt(call, answer, id, batch)
        case .held(let answer): hold(call, answer, id, batch)
        case .subscription: subscribe(call, id, batch)
        }
    }

    private func prompt(_ call: Call, _ answer: PromptAnswer, _ id: [UInt8]?, _ batch: Batch?) {
        // Nothing but an answer would come of it.
        guard id != nil else { return done(batch) }
        var result = channel.allocator.buffer(capacity: 1024)
        do throws(ControlFault) {
            try answer(call, &result)
            reply(id, .success(result), in: batch)
        } catch {
            reply(id, .failure(error), in: batch)
        }
    }

    private func hold(
        _ call: Call, _ answer: @escaping HeldAnswer, _ id: [UInt8]?, _ batch: Batch?
    ) {
        let spare = call.method.looksAfterOperations ? server.limits.spareRequestsInFlight : 0
        let limit = server.limits.requestsInFlight + spare
        guard inFlight < limit else {
            return reply(
                id,
                .failure(
                    .busy(
                        "\(limit) requests of this connection are under way; wait for a reply",
                        details: ["limit": .int(Int64(limit))])), in: batch)
        }
        inFlight += 1
        let loop = channel.eventLoop
        let connection = NIOLoopBound(self, eventLoop: loop)
        let batch = NIOLoopBound(batch, eventLoop: loop)
        var call = call
        call.progress = { members in
            loop.execute { connection.value.progress(members) }
        }
        let ready = call
        Task(executorPreference: server.core.executor) {
            let result: Result<HeldResult, ControlFault>
            do throws(ControlFault) {
                result = .success(try await answer(ready))
            } catch {
                result = .failure(error)
            }
            let end: @Sendable () -> Void = {
                let connection = connection.value
                connection.inFlight -= 1
                connection.reply(id, connection.bounded(result), in: batch.value)
                connection.flush()
                connection.finishIfDone()
            }
            // Where the core runs on this very loop the reply need not stand in line once more.
            if loop.inEventLoop { end() } else { loop.execute(end) }
        }
    }

    /// Bytes that are kept for the peer until it reads, or until a batch is complete.
    private var waitingBytes: Int {
        let written = try? channel.syncOptions?.getOption(.bufferedWritableBytes)
        return out.readableBytes + batchedBytes + (written ?? 0)
    }

    /// The result, unless it is long and too much waits for the peer already: many requests may have been taken in before the
    /// first of their results was there.
    private func bounded(
        _ result: Result<HeldResult, ControlFault>
    ) -> Result<ByteBuffer, ControlFault> {
        let limits = server.limits
        return result.flatMap { held in
            guard held.bytes.readableBytes > limits.shortReplyBytes,
                waitingBytes > limits.heldBytes
            else { return .success(held.bytes) }
            server.logger.debug(
                "reply not sent: the client does not read",
                metadata: ["uid": "\(currentGrant()?.peer.uid ?? .max)"])
            var fault = ControlFault.busy(
                "more than \(limits.heldBytes) bytes of replies wait to be read; read them first",
                details: ["limit": .int(Int64(limits.heldBytes))])
            if let operation = held.operation {
                fault.message += ", then ask for operation \(operation), which was carried out"
                fault.details["operation"] = .string(operation)
                fault.fired = "unknown"
                fault.isRetryable = false
            }
            return .failure(fault)
        }
    }

    // MARK: Replies

    /// A fault that concerns the line as a whole.
    func fault(_ reason: ControlFault) {
        reply(Request.nullID, .failure(reason), in: nil)
    }

    /// Answers a request; a notification has no `id` and gets nothing.
    func reply(_ id: [UInt8]?, _ result: Result<ByteBuffer, ControlFault>, in batch: Batch?) {
        guard isOpen else { return }
        guard let id else {
            if case .failure(let fault) = result {
                server.logger.debug("notification failed", metadata: ["reason": "\(fault.message)"])
            }
            return done(batch)
        }
        if let batch {
            let before = batch.replies.readableBytes
            if before > 0 { batch.replies.writeStaticString(",") }
            Self.write(id, result, into: &batch.replies)
            batchedBytes += batch.replies.readableBytes - before
            done(batch)
        } else {
            Self.write(id, result, into: &out)
            out.writeStaticString("\n")
        }
    }

    /// One element of the batch is dealt with, be it without a reply.
    func done(_ batch: Batch?) {
        guard let batch else { return }
        batch.remaining -= 1
        guard batch.remaining == 0 else { return }
        batchedBytes -= batch.replies.readableBytes
        if batch.replies.readableBytes > 0 {
            out.writeStaticString("[")
            out.writeImmutableBuffer(batch.replies)
            out.writeStaticString("]\n")
        }
        if batch.carriesSubscription { announceSubscription() }
    }

    private static func write(
        _ id: [UInt8], _ result: Result<ByteBuffer, ControlFault>, into buffer: inout ByteBuffer
    ) {
        buffer.writeStaticString("{\"jsonrpc\":\"2.0\",\"id\":")
        buffer.writeBytes(id)
        switch result {
        case .success(let bytes):
            buffer.writeStaticString(",\"result\":")
            buffer.writeImmutableBuffer(bytes)
        case .failure(let reason):
            buffer.writeStaticString(",\"error\":")
            buffer.writeBytes(reason.json.encoded)
        }
        buffer.writeStaticString("}")
    }

    func notify(_ notification: ControlNotification, _ params: JSON) {
        var writer = JSONWriter(reserving: 256)
        writer.beginObject()
        writer.member("jsonrpc", "2.0")
        writer.member("method", notification.rawValue)
        writer.member("params", params)
        writer.endObject()
        out.writeBytes(writer.bytes)
        out.writeStaticString("\n")
    }

    /// Progress is for those who look on: a peer that does not read is spared it, and the next one says as much.
    private func progress(_ members: JSON) {
        guard isOpen, channel.isWritable else { return }
        notify(.progress, members)
        flush()
    }

    private func noteIgnored(_ method: ControlMethod) {
        // Once a connection is enough for people to find the mistake, and not enough to fill a disk.
        let level: Logger.Level = hasWarned ? .debug : .warning
        hasWarned = true
        server.logger.log(
            level: level, "request without an id not carried out",
            metadata: [
                "method": "\(method.rawValue)", "uid": "\(currentGrant()?.peer.uid ?? .max)",
            ])
    }
}
