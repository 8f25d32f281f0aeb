package import JSONLines

/// One line between core and module.
package enum ModuleMessage: Sendable, Equatable {
    case request(id: Int64, method: String, params: JSON)
    case notification(method: String, params: JSON)
    case result(id: Int64, JSON)
    /// `id` is nil where the other side could not tell which request it answers.
    case failure(id: Int64?, ErrorData)

    /// A line that is no message, and how a module answers it.
    package struct Problem: Error, Sendable, Equatable, CustomStringConvertible {
        /// JSON-RPC's own code: ``ErrorData/parseError`` or ``ErrorData/invalidRequest``.
        package let rpcCode: Int
        package let description: String
        /// The id of the request, where it could be read.
        package let id: Int64?

        package init(rpcCode: Int, _ description: String, id: Int64? = nil) {
            self.rpcCode = rpcCode
            self.description = description
            self.id = id
        }

        /// The reply a module sends.
        package var reply: ModuleMessage {
            .failure(id: id, ErrorData(rpcCode: rpcCode, message: description))
        }
    }

    /// Reads one line, its line feed already cut off.
    package init(line: UnsafeRawBufferPointer) throws(Problem) {
        let json: JSON
        do throws(JSONSyntaxError) {
            json = try JSONReader.parse(line)
        } catch {
            throw Problem(rpcCode: ErrorData.parseError, "not JSON: \(error)")
        }
        try self.init(json: json)
    }

    package init(line: [UInt8]) throws(Problem) {
        let outcome = line.withUnsafeBytes { raw in
            Result { () throws(Problem) in try ModuleMessage(line: raw) }
        }
        self = try outcome.get()
    }

    package init(json: JSON) throws(Problem) {
        func invalid(_ what: String, id: Int64? = nil) -> Problem {
            Problem(rpcCode: ErrorData.invalidRequest, what, id: id)
        }
        guard let object = json.objectValue else {
            throw invalid("a message is \(json.kind); want an object")
        }
        var id: Int64?
        switch object["id"] {
        case nil, .null?: break
        case .int(let number)?: id = number
        case let other?: throw invalid("id is \(other.kind); want an integer")
        }
        guard object["jsonrpc"]?.stringValue == "2.0" else {
            throw invalid("jsonrpc is not \"2.0\"", id: id)
        }
        if let method = object["method"] {
            guard let method = method.stringValue else {
                throw invalid("method is \(method.kind); want a string", id: id)
            }
            let params = object["params"] ?? .object(JSONObject())
            if let id {
                self = .request(id: id, method: method, params: params)
            } else if object["id"] == nil {
                self = .notification(method: method, params: params)
            } else {
                throw invalid("id is null; want an integer")
            }
        } else if let error = object["error"] {
            self = .failure(id: id, ErrorData(json: error))
        } else if let result = object["result"] {
            guard let id else { throw invalid("a reply without the id of its request") }
            self = .result(id: id, result)
        } else {
            throw invalid("want a method, a result or an error", id: id)
        }
    }

    /// The message as one line, its line feed included.
    package var line: [UInt8] {
        var writer = JSONWriter(reserving: 128)
        writer.beginObject()
        writer.member("jsonrpc", "2.0")
        switch self {
        case .request(let id, let method, let params):
            writer.member("id", id)
            writer.member("method", method)
            writer.member("params", params)
        case .notification(let method, let params):
            writer.member("method", method)
            writer.member("params", params)
        case .result(let id, let result):
            writer.member("id", id)
            writer.member("result", result)
        case .failure(let id, let error):
            writer.member("id", id.map(JSON.int) ?? .null)
            writer.member("error", error.json)
        }
        writer.endObject()
        return writer.bytes + [0x0A]
    }
}

/// The `error` member of a reply.
///
/// Never fails to be read: whatever a module sends there is an error, and what it leaves out is the worst case.
package struct ErrorData: Error, Sendable, Equatable {
    /// The line is not JSON.
    package static let parseError = -32700
    /// The line is JSON but no message.
    package static let invalidRequest = -32600
    /// No such method.
    package static let unknownMethod = -32601
    /// The method's params are not what it takes; nothing was done.
    package static let invalidParams = -32602
    /// An error of ours, explained by `code`, `fired` and `sent`.
    package static let ours = -32000

    /// JSON-RPC's error code.
    package let rpcCode: Int
    /// One lower-case clause.
    package let message: String
    /// One word of the closed list of codes, `LINK_DOWN`; empty where the error is JSON-RPC's own.
    package let code: String
    /// `no`, `yes` or `unknown`.
    package let fired: String
    /// `no`, `maybe` or `yes`.
    package let sent: String

    /// An error of ours.
    package init(code: String, message: String, fired: String, sent: String) {
        rpcCode = Self.ours
        self.message = message
        self.code = code
        self.fired = fired
        self.sent = sent
    }

    /// An error of JSON-RPC's own: the call was not carried out.
    package init(rpcCode: Int, message: String) {
        self.rpcCode = rpcCode
        self.message = message
        code = ""
        fired = "no"
        sent = "no"
    }

    package init(json: JSON) {
        rpcCode = json["code"]?.intValue ?? Self.ours
        message = json["message"]?.stringValue ?? "an error without a message"
        let data = json["data"]
        code = data?["code"]?.stringValue ?? ""
        // Bad params and unknown methods were by their nature not carried out.
        let isUntouched = [
            Self.parseError, Self.invalidRequest, Self.unknownMethod, Self.invalidParams,
        ].contains(rpcCode)
        fired = data?["fired"]?.stringValue ?? (isUntouched ? "no" : "unknown")
        sent = data?["sent"]?.stringValue ?? (isUntouched ? "no" : "maybe")
    }

    package var json: JSON {
        var object: JSONObject = ["code": .int(Int64(rpcCode)), "message": .string(message)]
        if !code.isEmpty {
            object["data"] = [
                "code": .string(code), "fired": .string(fired), "sent": .string(sent),
            ]
        }
        return .object(object)
    }
}
