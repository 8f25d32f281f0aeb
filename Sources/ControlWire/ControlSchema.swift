package import JSONLines

/// JSON Schema (draft 2020-12) of every method's params and result and of every notification, as `schema` answers with it.
///
/// The texts are kept beside ``ControlMethod`` and the forms by hand; a test has an independent validator compare them with
/// recorded conversations. `params` say all that is accepted. Results and notifications may grow members, so theirs are open.
package enum ControlSchema {
    /// The document of one method, or of everything.
    package static func document(for method: ControlMethod?) -> JSON {
        var methods = JSONObject()
        for each in ControlMethod.allCases where method == nil || each == method {
            methods[each.rawValue] = [
                "params": schema(params(each)), "result": schema(result(each)),
            ]
        }
        var document: JSONObject = [
            "$schema": "https://json-schema.org/draft/2020-12/schema", "methods": .object(methods),
        ]
        document["error"] = ["$ref": "#/$defs/error"]
        if method == nil {
            document["notifications"] = [
                "event": schema(event), "progress": ["$ref": "#/$defs/progress"],
            ]
        }
        document["$defs"] = .object(definitions(neededBy: .object(document)))
        return .object(document)
    }

    /// The definitions that `json` refers to, and those that they do.
    private static func definitions(neededBy json: JSON) -> JSONObject {
        let all = schema(definitions).objectValue ?? JSONObject()
        var needed: Set<String> = []
        var open = [json]
        while let next = open.popLast() {
            switch next {
            case .array(let values): open += values
            case .object(let object):
                open += object.members.map(\.value)
                guard
                    let name = object["$ref"]?.stringValue?.split(separator: "/").last.map(
                        String.init),
                    needed.insert(name).inserted, let definition = all[name]
                else { continue }
                open.append(definition)
            default: continue
            }
        }
        return JSONObject(all.members.filter { needed.contains($0.key) })
    }

    /// A test parses every text, so none is lost here.
    private static func schema(_ text: String) -> JSON {
        (try? JSONReader.parse(text)) ?? .bool(false)
    }

    // MARK: Methods

    private static let noParams = #"{"type":"object","additionalProperties":false}"#

    private static func params(_ method: ControlMethod) -> String {
        switch method {
        case .version, .controllers, .reload: noParams
        case .status: statusParams
        case .open: openParams
        case .openAll: openAllParams
        case .operation, .cancel: operationParams
        case .service: serviceParams
        case .restart:
            """
            {"type":"object","additionalProperties":false,"minProperties":1,"maxProperties":1,
             "properties":{"controller":{"type":"string","minLength":1},"uplink":{"type":"string","minLength":1}}}
            """
        case .act: actParams
        case .subscribe: subscribeParams
        case .audit:
            ##"""
            {"type":"object","additionalProperties":false,"properties":{
              "since":{"type":"integer","minimum":0},"limit":{"type":"integer","minimum":1,"maximum":10000},
              "locker":{"$ref":"#/$defs/selector"}}}
            """##
        case .heartbeat:
            """
            {"type":"object","required":["deviceId"],"properties":{
              "deviceId":{"type":"string","minLength":1,"maxLength":64},
              "state":{"type":"string","minLength":1,"maxLength":64}}}
            """
        case .schema:
            """
            {"type":"object","additionalProperties":false,
             "properties":{"method":{"type":"string","minLength":1}}}
            """
        }
    }

    private static let actParams =
        ##"""
        {"type":"object","additionalProperties":false,"required":["controller","action"],"properties":{
          "controller":{"type":"string","minLength":1},
          "action":{"enum":["available","last-door","relay","revert","tap"]},
          "locker":{"$ref":"#/$defs/selector"},
          "intervalMs":{"type":"integer","minimum":100,"maximum":2000},
          "count":{"type":"integer","minimum":0,"maximum":10},
          "clientInfo":{"type":"string","maxLength":500},
          "payload":{"type":"string","minLength":1},"payloadAuth":{"type":"string","minLength":1}}}
        """##

    private static func result(_ method: ControlMethod) -> String {
        switch method {
        case .version: versionResult
        case .status: statusResult
        case .open: ##"{"$ref":"#/$defs/openResult"}"##
        case .openAll:
            ##"{"anyOf":[{"$ref":"#/$defs/openAllResult"},{"$ref":"#/$defs/openAllPlan"}]}"##
        case .operation:
            ##"{"anyOf":[{"$ref":"#/$defs/openResult"},{"$ref":"#/$defs/openAllResult"}]}"##
        case .cancel: cancelResult
        case .service: ##"{"$ref":"#/$defs/locker"}"##
        case .controllers:
            ##"""
            {"type":"object","required":["controllers"],"properties":{
              "controllers":{"type":"array","items":{"$ref":"#/$defs/controller"}},
              "uplinks":{"type":"array","items":{"$ref":"#/$defs/uplink"}}}}
            """##
        case .restart:
            """
            {"type":"object","anyOf":[{"required":["controller","link"]},{"required":["uplink"]}],
             "properties":{"controller":{"type":"string"},"link":{"type":"string"},"uplink":{"type":"string"}}}
            """
        case .act:
            ##"""
            {"type":"object","required":["controller","action"],"properties":{
              "controller":{"type":"string"},"action":{"type":"string"},
              "door":{"enum":["open","closed","unknown"]},
              "available":{"type":"object","additionalProperties":{"type":"integer","minimum":0}}}}
            """##
        case .reload: ##"{"$ref":"#/$defs/reload"}"##
        case .subscribe:
            """
            {"type":"object","required":["seq","bootId"],
             "properties":{"seq":{"type":"integer","minimum":0},"bootId":{"type":"string"}}}
            """
        case .audit: auditResult
        case .heartbeat:
            """
            {"type":"object","required":["deviceId","state"],
             "properties":{"deviceId":{"type":"string"},"state":{"type":"string"}}}
            """
        case .schema:
            """
            {"type":"object","required":["$schema","$defs","methods"],"properties":{
              "$schema":{"const":"https://json-schema.org/draft/2020-12/schema"},
              "$defs":{"type":"object"},"methods":{"type":"object"},
              "notifications":{"type":"object"},"error":{"type":"object"}}}
            """
        }
    }

    // MARK: Params

    private static let statusParams = ##"""
        {"type":"object","additionalProperties":false,"properties":{
          "lockers":{"type":"array","items":{"$ref":"#/$defs/selector"}},
          "controller":{"type":"string","minLength":1},"bank":{"type":"string","minLength":1}}}
        """##

    private static let openParams = ##"""
        {"type":"object","additionalProperties":false,"required":["locker"],"properties":{
          "locker":{"$ref":"#/$defs/selector"},
          "key":{"$ref":"#/$defs/key"},"deadlineMs":{"$ref":"#/$defs/ms"},"waitMs":{"$ref":"#/$defs/ms"},
          "reason":{"$ref":"#/$defs/reason"},"maintenance":{"type":"boolean"},
          "again":{"type":"boolean"},
          "token":{"type":"object","additionalProperties":false,"required":["payload","payloadAuth"],
            "properties":{"payload":{"type":"string","minLength":1},"payloadAuth":{"type":"string","minLength":1}}}}}
        """##

    private static let openAllParams = ##"""
        {"type":"object","additionalProperties":false,"properties":{
          "controller":{"type":"string","minLength":1},"bank":{"type":"string","minLength":1},
          "lockers":{"type":"array","items":{"$ref":"#/$defs/selector"}},
          "key":{"$ref":"#/$defs/key"},"deadlineMs":{"$ref":"#/$defs/ms"},"waitMs":{"$ref":"#/$defs/ms"},
          "reason":{"$ref":"#/$defs/reason"},"includeOutOfService":{"type":"boolean"},"dryRun":{"type":"boolean"}}}
        """##

    private static let operationParams = """
        {"type":"object","additionalProperties":false,"required":["operation"],
         "properties":{"operation":{"type":"string","minLength":1,"maxLength":128}}}
        """

    private static let serviceParams = ##"""
        {"type":"object","additionalProperties":false,"required":["locker"],"properties":{
          "locker":{"$ref":"#/$defs/selector"},"outOfService":{"type":"boolean"},
          "reasonCode":{"type":"string","minLength":1,"maxLength":64},"reason":{"$ref":"#/$defs/reason"},
          "brokenLock":{"type":"boolean"}}}
        """##

    private static let subscribeParams = ##"""
        {"type":"object","additionalProperties":false,"properties":{
          "since":{"type":"integer","minimum":0},
          "types":{"type":"array","items":{"$ref":"#/$defs/eventType"}}}}
        """##
}
