# From `cargo metadata` to CycloneDX 1.5. `$runs` and `$builds` name the packages that are in the
# program, and all that it is built from, a line each.

def name: "\(.name)@\(.version)";
def purl: "pkg:cargo/\(name)";

def set: split("\n") | map({key: ., value: true}) | from_entries;

# Licences as SPDX writes them: old packages have a slash for OR.
def licences:
  if .license then [{expression: (.license | gsub("\\s*/\\s*"; " OR "))}] else [] end;

# {"name@version": digest}, of the packages that come from a registry.
def digests:
  [$lock | split("[[package]]")[1:][]
    | [capture("(?<key>name|version|checksum) = \"(?<value>[^\"]+)\""; "g")] | from_entries
    | select(.checksum) | {key: name, value: .checksum}]
  | from_entries;

def component($digests; $runs):
  {
    type: "library",
    "bom-ref": purl,
    name, version,
    scope: (if $runs[name] then "required" else "excluded" end),
    hashes: [$digests[name] // empty | {alg: "SHA-256", content: .}],
    licenses: licences,
    purl: purl,
    externalReferences: [select(.repository) | {type: "vcs", url: .repository}]
  }
  | with_entries(select(.value != []));

($runs | set) as $runs
| ($builds | set) as $builds
| digests as $digests
| ([.packages[] | select($builds[name]) | {key: .id, value: .}] | from_entries) as $used
| ([.resolve.nodes[] | {key: .id, value: [.deps[]
    | select($used[.pkg] and any(.dep_kinds[]; .kind != "dev")) | .pkg]}] | from_entries) as $uses
| [$used[] | select(.name == "auth_user")][0] as $program
| {
    "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: $time,
      component: ($program
        | {type: "application", "bom-ref": purl, name, version, description, licenses: licences, purl: purl})
    },
    components: [$used[] | select(.id != $program.id) | component($digests; $runs)] | sort_by(.name, .version),
    dependencies: [$used[] | {ref: purl, dependsOn: ($uses[.id] | map($used[.] | purl) | unique)}] | sort_by(.ref)
  }
