/**
 * @typedef {object} ReleaseFile
 * @property {string} file name below the release's base URL
 * @property {string} sha256 hex, of the file as published
 * @property {string} [member] path of the executable inside a .tar.gz; absent: the file is it
 */

/**
 * @typedef {object} Tool
 * @property {string} name
 * @property {string} variable environment variable that names the executable; it wins over all else
 * @property {readonly string[]} versionArgs
 * @property {RegExp} versionPattern
 * @property {string} minimum oldest version that works
 * @property {string} [exactly] only this version is taken from PATH or cache
 * @property {string} why what the version rule protects
 * @property {{ base: string, files: Readonly<Record<string, ReleaseFile>> }} release
 *   by `platform-arch`; a platform without a published sum has no entry, so nothing is downloaded
 * @property {string} [aptPackage]
 * @property {import('./go.mjs').GoSource} go
 * @property {Readonly<Record<string, string>>} byHand what a person can do, by platform
 */

const NATS_RELEASE = 'https://github.com/nats-io/nats-server/releases';
const OPA_RELEASE = 'https://github.com/open-policy-agent/opa/releases';
const JAEGER_RELEASE = 'https://github.com/jaegertracing/jaeger/releases';
/** Jaeger 2.13.0 is version 1.76.0 of its Go module: both numbers name one commit. */
const JAEGER = { version: '2.13.0', module: 'github.com/jaegertracing/jaeger' };

/** @type {Tool} */
const natsServer = {
  name: 'nats-server',
  variable: 'SWARMPROOF_NATS_SERVER',
  versionArgs: ['--version'],
  versionPattern: /v?(\d+\.\d+\.\d+)/,
  minimum: '2.11.0',
  why: 'auth callout and message tracing',
  release: {
    base: `${NATS_RELEASE}/download/v2.14.5`,
    files: {
      'linux-x64': {
        file: 'nats-server-v2.14.5-linux-amd64.tar.gz',
        sha256: '5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355',
        member: 'nats-server-v2.14.5-linux-amd64/nats-server',
      },
      'linux-arm64': {
        file: 'nats-server-v2.14.5-linux-arm64.tar.gz',
        sha256: '673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c',
        member: 'nats-server-v2.14.5-linux-arm64/nats-server',
      },
      'darwin-x64': {
        file: 'nats-server-v2.14.5-darwin-amd64.tar.gz',
        sha256: 'f95c98d6b6ed2b63c5681b46b092c9585c99767d547cf495730c329234625e96',
        member: 'nats-server-v2.14.5-darwin-amd64/nats-server',
      },
      'darwin-arm64': {
        file: 'nats-server-v2.14.5-darwin-arm64.tar.gz',
        sha256: 'ddd907854d9a2de834af133fa396915fe6442fe6d8909ae31390d1ea7a0fea50',
        member: 'nats-server-v2.14.5-darwin-arm64/nats-server',
      },
    },
  },
  aptPackage: 'nats-server',
  go: { module: 'github.com/nats-io/nats-server/v2', version: 'v2.14.5' },
  byHand: {
    darwin: 'brew install nats-server',
    linux: `unpack a release from ${NATS_RELEASE} and put nats-server on the PATH`,
    other: `see ${NATS_RELEASE}`,
  },
};

/** @type {Tool} */
const opa = {
  name: 'opa',
  variable: 'SWARMPROOF_OPA',
  versionArgs: ['version'],
  versionPattern: /^Version: v?(\d+\.\d+\.\d+)/m,
  minimum: '1.0.0',
  exactly: '1.19.1',
  why: 'the committed policy bundle is compared with what this compiler makes',
  release: {
    base: `${OPA_RELEASE}/download/v1.19.1`,
    files: {
      'linux-x64': {
        file: 'opa_linux_amd64_static',
        sha256: 'c9f985ce0d345f5484006ade2c695ed9e3f308e4441139e46695c5c182ac0839',
      },
      'linux-arm64': {
        file: 'opa_linux_arm64_static',
        sha256: '19dcb5186fd394c32023918c53eaacda55f835abb05e13e0f9a766dd1429494f',
      },
      'darwin-x64': {
        file: 'opa_darwin_amd64',
        sha256: '80a9e2bce1a44fd81dc4b5415439918786b4685f0709d533d0005abea7e10e02',
      },
      'darwin-arm64': {
        file: 'opa_darwin_arm64_static',
        sha256: '805ce3f336154150bef73bafa2dab8806631851bccc7cae95bef46ffabdf8fc3',
      },
    },
  },
  go: { module: 'github.com/open-policy-agent/opa', version: 'v1.19.1' },
  byHand: {
    darwin: `download opa 1.19.1 from ${OPA_RELEASE} and put it on the PATH`,
    linux: `download opa 1.19.1 from ${OPA_RELEASE} and put it on the PATH`,
    other: `see ${OPA_RELEASE}`,
  },
};

/** @type {Tool} */
const jaeger = {
  name: 'jaeger',
  variable: 'SWARMPROOF_JAEGER',
  versionArgs: ['version'],
  versionPattern: /"gitVersion":"v?(\d+\.\d+\.\d+)/,
  minimum: '2.0.0',
  why: 'one program for storage, API and UI, which takes OTLP',
  // No sum of its archives is pinned, so nothing is downloaded: one is added with where it is from.
  release: { base: `${JAEGER_RELEASE}/download/v${JAEGER.version}`, files: {} },
  go: {
    module: JAEGER.module,
    version: 'v1.76.0',
    package: `${JAEGER.module}/cmd/jaeger`,
    ldflags: `-X ${JAEGER.module}/internal/version.latestVersion=v${JAEGER.version}`,
  },
  byHand: {
    other: `unpack Jaeger 2 from ${JAEGER_RELEASE} and put jaeger on the PATH`,
  },
};

/** Every tool that is not an npm package. Sums are those that the publishers' users pin. */
export const TOOLS = { 'nats-server': natsServer, opa, jaeger };

/** What each purpose cannot do without. */
export const NEEDED = {
  demo: [natsServer],
  up: [natsServer],
  bench: [natsServer],
  test: [natsServer],
  jaeger: [jaeger],
};

/** Fetched where that is possible; without `opa`, tests that compile policy are skipped. */
export const WANTED = { demo: [], up: [], bench: [], test: [opa], jaeger: [] };

/** Handed on when they are there, and never fetched: a changed policy is rebuilt with opa. */
export const WELCOME = [opa];

/** @typedef {keyof typeof NEEDED} Purpose */

/** @param {string} text @returns {text is Purpose} */
export function isPurpose(text) {
  return Object.hasOwn(NEEDED, text);
}
