import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { GRPC_STATUS, type GrpcFailure } from './grpc.ts';
import type { GrpcAnswer, GrpcCall, GrpcMethod } from './grpc-server.ts';

/** A message of a method's answer, or how the call ends. */
export type Reply<Message> =
  | { readonly message: Message; readonly failure?: undefined }
  | { readonly failure: GrpcFailure };

const MALFORMED: GrpcFailure = {
  status: GRPC_STATUS.invalidArgument,
  message: 'the request is not of its schema',
};

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function decode<Schema extends DescMessage>(
  schema: Schema,
  bytes: Uint8Array,
): MessageShape<Schema> | undefined {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return undefined;
  }
}

function encode<Schema extends DescMessage>(
  schema: Schema,
  reply: Reply<MessageInitShape<Schema>>,
): GrpcAnswer {
  return reply.failure ?? toBinary(schema, create(schema, reply.message));
}

/** A method that takes one message, by its path; what is not of the schema is InvalidArgument (E-06). */
export function grpcMethod<Method extends DescMethod, Context>(
  method: Method,
  answers: (
    request: MessageShape<Method['input']>,
    call: GrpcCall,
    context: Context,
  ) => AsyncIterable<Reply<MessageInitShape<Method['output']>>>,
): readonly [path: string, GrpcMethod<Context>] {
  async function* encoded(
    bytes: Uint8Array,
    call: GrpcCall,
    context: Context,
  ): AsyncGenerator<GrpcAnswer, void> {
    const request = decode<Method['input']>(method.input, bytes);
    if (request === undefined) {
      yield MALFORMED;
      return;
    }
    for await (const reply of answers(request, call, context)) {
      yield encode<Method['output']>(method.output, reply);
    }
  }
  return [pathOf(method), { takes: 'one', answers: encoded }];
}

/** A method that answers each message as it comes. */
export function grpcDialogue<Method extends DescMethod, Context>(
  method: Method,
  answer: (request: MessageShape<Method['input']>) => MessageInitShape<Method['output']>,
): readonly [path: string, GrpcMethod<Context>] {
  return [
    pathOf(method),
    {
      takes: 'many',
      answer: (bytes) => {
        const request = decode<Method['input']>(method.input, bytes);
        if (request === undefined) return MALFORMED;
        return encode<Method['output']>(method.output, { message: answer(request) });
      },
    },
  ];
}
