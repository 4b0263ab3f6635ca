import { type DescFile, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { file_reflection_v1 } from '../workload-api/generated/reflection_v1_pb.ts';
import { file_reflection_v1alpha } from '../workload-api/generated/reflection_v1alpha_pb.ts';
import { file_workload } from '../workload-api/generated/workload_pb.ts';

/** gRPC status codes of the answers; an error is an answer, and the stream goes on. */
const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;

interface Question {
  readonly host: string;
  readonly messageRequest:
    | { readonly case: 'fileByFilename'; readonly value: string }
    | { readonly case: 'fileContainingSymbol'; readonly value: string }
    | { readonly case: 'listServices'; readonly value: string }
    | { readonly case: 'allExtensionNumbersOfType'; readonly value: string }
    | { readonly case: 'fileContainingExtension'; readonly value: unknown }
    | { readonly case: undefined; readonly value?: undefined };
}

/** A file, and behind it all that it imports, each once. */
function withImports(file: DescFile): DescFile[] {
  const found = new Set<DescFile>();
  const visit = (one: DescFile): void => {
    if (found.has(one)) return;
    found.add(one);
    one.dependencies.forEach(visit);
  };
  visit(file);
  return [...found];
}

/** Every fully qualified name that a file defines and a tool may ask for. */
function symbolsOf(file: DescFile): string[] {
  return [
    ...file.services.flatMap((one) => [
      one.typeName,
      ...one.methods.map(({ name }) => `${one.typeName}.${name}`),
    ]),
    ...file.messages.flatMap((one) => [
      one.typeName,
      ...one.fields.map(({ name }) => `${one.typeName}.${name}`),
    ]),
    ...file.enums.map((one) => one.typeName),
  ];
}

const encode = (file: DescFile): Uint8Array => toBinary(FileDescriptorProtoSchema, file.proto);

/**
 * gRPC server reflection (E-08) over the descriptors of what this endpoint serves: public facts, for
 * whoever may open the socket. A service of its own, as E-07 wants it.
 */
export function createReflection() {
  const served = [file_workload, file_reflection_v1, file_reflection_v1alpha];
  const files = new Map(served.flatMap(withImports).map((file) => [file.proto.name, file]));
  const symbols = new Map(
    [...files.values()].flatMap((file) => symbolsOf(file).map((name) => [name, file] as const)),
  );
  const services = served.flatMap((file) => file.services.map(({ typeName }) => typeName));

  const error = (errorCode: number, errorMessage: string) =>
    ({ case: 'errorResponse', value: { errorCode, errorMessage } }) as const;
  const descriptors = (file: DescFile | undefined) =>
    file === undefined
      ? error(NOT_FOUND, 'not served here')
      : ({
          case: 'fileDescriptorResponse',
          value: { fileDescriptorProto: withImports(file).map(encode) },
        } as const);

  const answer = ({ messageRequest: asked }: Question) => {
    switch (asked.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse',
          value: { service: services.map((name) => ({ name })) },
        } as const;
      case 'fileByFilename':
        return descriptors(files.get(asked.value));
      case 'fileContainingSymbol':
        return descriptors(symbols.get(asked.value));
      case 'allExtensionNumbersOfType':
      case 'fileContainingExtension':
        return error(NOT_FOUND, 'there are no extensions');
      case undefined:
        return error(UNIMPLEMENTED, 'nothing was asked');
      default:
        return asked satisfies never;
    }
  };

  return {
    /** One answer for each question, as it comes. */
    answer: <T extends Question>(question: T) => ({
      validHost: question.host,
      originalRequest: question,
      messageResponse: answer(question),
    }),
  };
}
