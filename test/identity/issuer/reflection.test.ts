import { once } from 'node:events';
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  ServerReflectionRequestSchema as RequestV1,
  ServerReflectionResponseSchema as ResponseV1,
} from '#identity/workload-api/generated/reflection_v1_pb.ts';
import { ServerReflectionRequestSchema as RequestAlpha } from '#identity/workload-api/generated/reflection_v1alpha_pb.ts';
import { Bench, sensorEntry } from './harness.ts';
import { call, encode, GRPC, openSession } from './raw-client.ts';
import { goOn, pass, passUntil, standStill } from './time.ts';

type Asked = NonNullable<MessageInitShape<typeof RequestV1>['messageRequest']>;

describe('server reflection, on the real socket', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    await bench.start();
    await bench.link.setEntries([sensorEntry()]);
  });
  afterEach(() => {
    goOn();
    return bench.stop();
  });

  /** The two versions differ in their name alone, so one reads the other's bytes. */
  async function ask(version: 'v1' | 'v1alpha', ...questions: Asked[]) {
    const session = openSession(bench.socketPath);
    const frames = questions.map((messageRequest) =>
      version === 'v1'
        ? encode(
            RequestV1,
            create(RequestV1, { messageRequest } as MessageInitShape<typeof RequestV1>),
          )
        : encode(
            RequestAlpha,
            create(RequestAlpha, { messageRequest } as MessageInitShape<typeof RequestAlpha>),
          ),
    );
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const stream = call(session, path, { 'workload.spiffe.io': 'true' }, Buffer.concat(frames));
    const answers = [];
    for (const _question of questions) {
      const message = await stream.next();
      if (message !== undefined) answers.push(fromBinary(ResponseV1, message).messageResponse);
    }
    expect(await stream.status).toBe(GRPC.ok);
    session.destroy();
    return answers;
  }
  const names = (files: readonly Uint8Array[]) =>
    files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);

  test.each(['v1', 'v1alpha'] as const)(
    '%s lists the services, each of its own: none is an extension of the Workload API (E-07, E-08)',
    async (version) => {
      const [list] = await ask(version, { case: 'listServices', value: '' });
      if (list?.case !== 'listServicesResponse') throw new Error('no list');
      expect(list.value.service.map(({ name }) => name).sort()).toEqual([
        'SpiffeWorkloadAPI',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
      ]);
      const [file] = await ask(version, {
        case: 'fileContainingSymbol',
        value: 'SpiffeWorkloadAPI',
      });
      if (file?.case !== 'fileDescriptorResponse') throw new Error('no file');
      const { fileDescriptorProto: files } = file.value;
      expect(names(files)).toEqual(['workload.proto', 'google/protobuf/struct.proto']);
      const [workload] = files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
      // E-09: no package. Seven RPCs, those of the standard.
      expect(workload?.package).toBe('');
      expect(workload?.service[0]?.method.map(({ name }) => name)).toEqual([
        'FetchX509SVID',
        'FetchX509Bundles',
        'FetchJWTSVID',
        'FetchJWTBundles',
        'ValidateJWTSVID',
        'FetchWITSVID',
        'FetchWITBundles',
      ]);
    },
  );

  test('finds a file by any of its names, and an error is an answer: the stream goes on', async () => {
    const answers = await ask(
      'v1',
      { case: 'fileByFilename', value: 'workload.proto' },
      { case: 'fileContainingSymbol', value: 'SpiffeWorkloadAPI.FetchJWTSVID' },
      { case: 'fileContainingSymbol', value: 'JWTSVIDRequest.audience' },
      { case: 'fileContainingSymbol', value: 'google.protobuf.Struct' },
      { case: 'fileByFilename', value: '../../etc/passwd' },
      { case: 'allExtensionNumbersOfType', value: 'X509SVID' },
      { case: 'fileContainingExtension', value: { containingType: 'X', extensionNumber: 1 } },
      { case: undefined },
      { case: 'fileByFilename', value: 'reflection_v1alpha.proto' },
    );
    const told = answers.map((answer) =>
      answer.case === 'fileDescriptorResponse'
        ? names(answer.value.fileDescriptorProto)[0]
        : answer.case === 'errorResponse' && answer.value.errorCode,
    );
    expect(told).toEqual([
      'workload.proto',
      'workload.proto',
      'workload.proto',
      'google/protobuf/struct.proto',
      5,
      5,
      5,
      12,
      'reflection_v1alpha.proto',
    ]);
  });

  test('who asks nothing for a while is told so, and one octet now and then is no question', async () => {
    await bench.stop();
    bench = new Bench();
    standStill();
    await bench.start({ limits: { slowReaderMs: 400 } });
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    const opened = () => {
      const session = openSession(bench.socketPath);
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        'workload.spiffe.io': 'true',
      });
      let status: unknown;
      const note = (fields: Record<string, unknown>) => {
        status = fields['grpc-status'] ?? status;
      };
      stream
        .on('response', note)
        .on('trailers', note)
        .on('error', () => {});
      const closed = new Promise((resolve) => stream.on('close', () => resolve(status)));
      return { session, stream, closed };
    };
    const question = encode(
      RequestV1,
      create(RequestV1, { messageRequest: { case: 'listServices', value: '' } }),
    );
    const [silent, dripping, asking] = [opened(), opened(), opened()];
    // Each question has a time of its own: five of them outlast it together.
    for (let at = 0; at < 5; at += 1) {
      if (at > 0) pass(150);
      if (!dripping.stream.destroyed) dripping.stream.write(question.subarray(at, at + 1));
      const answered = once(asking.stream, 'data');
      asking.stream.write(question);
      await answered;
    }
    asking.stream.end();
    expect(await asking.closed).toBe('0');
    expect(await passUntil(silent.closed)).toBe('4');
    expect(await passUntil(dripping.closed)).toBe('4');
    for (const { session } of [silent, dripping, asking]) session.destroy();
  });

  test('needs the security header like every request (E-02)', async () => {
    const session = openSession(bench.socketPath);
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    expect(await call(session, path, {}).status).toBe(GRPC.invalidArgument);
    session.destroy();
  });
});
