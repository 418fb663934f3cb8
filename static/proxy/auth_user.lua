-- Asks auth_user whether a visitor may have what they ask HAProxy for.

local CHECK = "http://{auth}/api/authz/forward-auth?strict"

-- What the answer depends on, of what a visitor sends.
local ASKED_BY = {
    "accept", "authorization", "cookie", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site",
    "sec-fetch-user", "user-agent", "x-requested-with",
}

-- Who the visitor is.
local IDENTITY = { "remote-user", "remote-groups", "remote-name", "remote-email", "remote-id" }

-- What the application may have of this, auth_user says; that is no access token.
local AUTHORIZATION = "authorization"

-- What a visitor gets of an answer that does not let them in: all but what is about its framing, and
-- about the connection it came by.
local HIDDEN = {
    ["connection"] = true, ["content-length"] = true, ["keep-alive"] = true,
    ["strict-transport-security"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
}

-- The session would let the application act for the visitor everywhere else.
local SESSION = "__Secure-session"

-- HAProxy counts the values of a field from 0, its HTTP client from 1.
local function values(field)
    local list = {}
    if field then
        local at = field[0] ~= nil and 0 or 1
        while field[at] ~= nil do
            list[#list + 1] = field[at]
            at = at + 1
        end
    end
    return list
end

-- The name in `name = value`; nothing if there is no `=`.
local function name_of(cookie)
    return cookie:match("^[ \t]*([^=;]-)[ \t]*=")
end

local function without_session(cookies)
    local kept = {}
    for cookie in cookies:gmatch("[^;]+") do
        local text = cookie:match("^%s*(.-)%s*$")
        if text ~= "" and name_of(text) ~= SESSION then
            kept[#kept + 1] = text
        end
    end
    return table.concat(kept, "; ")
end

local function question(txn, fields)
    local asked = {
        ["x-forwarded-method"] = { txn.sf:method() },
        ["x-forwarded-proto"] = { "https" },
        ["x-forwarded-host"] = { txn:get_var("txn.auth_user_host") },
        ["x-forwarded-uri"] = { txn.sf:pathq() },
        ["x-forwarded-for"] = { txn.sf:src() },
    }
    for _, name in ipairs(ASKED_BY) do
        local sent = values(fields[name])
        if #sent > 0 then
            asked[name] = sent
        end
    end
    return asked
end

local function answer(txn, said)
    local reply = txn:reply({ status = said.status })
    for name, field in pairs(said.headers) do
        if not HIDDEN[name] then
            for _, value in ipairs(values(field)) do
                reply:add_header(name, value)
            end
        end
    end
    if said.body then
        reply:set_body(said.body)
    end
    txn:done(reply)
end

core.register_action("auth_user", { "http-req" }, function(txn)
    local fields = txn.http:req_get_headers()
    local said = core.httpclient():get({
        url = CHECK,
        headers = question(txn, fields),
        timeout = 15000,
    })
    if not said or not said.status or said.status < 200 then
        return
    end
    if said.status ~= 200 then
        return answer(txn, said)
    end

    for _, name in ipairs(IDENTITY) do
        for _, value in ipairs(values(said.headers[name])) do
            txn.http:req_add_header(name, value)
        end
    end
    txn.http:req_del_header(AUTHORIZATION)
    for _, value in ipairs(values(said.headers[AUTHORIZATION])) do
        txn.http:req_add_header(AUTHORIZATION, value)
    end
    local cookies = without_session(table.concat(values(fields["cookie"]), "; "))
    txn.http:req_del_header("cookie")
    if cookies ~= "" then
        txn.http:req_add_header("cookie", cookies)
    end
    txn:set_var("txn.auth_user_admitted", true)
end)

-- Takes the session's cookie out of those an application sets. A nameless one is sent as if it had
-- the name its value begins with.
core.register_action("auth_user_cookies", { "http-res" }, function(txn)
    local set = values(txn.http:res_get_headers()["set-cookie"])
    local kept = {}
    for _, cookie in ipairs(set) do
        if name_of((cookie:gsub("^[ \t]*=", ""))) ~= SESSION then
            kept[#kept + 1] = cookie
        end
    end
    if #kept < #set then
        txn.http:res_del_header("set-cookie")
        for _, cookie in ipairs(kept) do
            txn.http:res_add_header("set-cookie", cookie)
        end
    end
    txn:set_var("txn.auth_user_cookies", true)
end)
