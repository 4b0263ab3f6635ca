/** Codes of the runtime's refusals: each is one sentence a person can act on. */
export const RUNTIME_CODES = {
  SWARM_FILE_UNREADABLE: 'The swarm file could not be read.',
  SWARM_FILE_INVALID: 'The swarm file is not valid; every problem names its line and the fix.',
  INPUT_INVALID: 'The --input option is not NAME=FILE, or names no sensor or no usable file.',
  IMAGE_BUILD_FAILED: 'The process entry could not be bundled into an image.',
  IMAGE_UNREADABLE: 'The image folder is missing, incomplete or not an image.',
  IMAGE_KEY_UNUSABLE: 'The CI key pair could not be made or read.',
  STATE_UNWRITABLE: 'The state folder cannot be created or written.',
  STATE_FULL: 'The disk that holds the state folder is full.',
  STATE_LOCKED: 'Another running swarm uses this state folder.',
  SOCKET_PATH_TOO_LONG: 'A Unix socket path would exceed the limit of the operating system.',
  KEY_FILE_UNUSABLE: 'A key file of the run is missing, cannot be read or cannot be made.',
  WITNESS_MEMORY_DAMAGED: 'What a witness remembers is lost or damaged; it does not start without.',
  WITNESS_UNREACHABLE: 'A witness gave no usable answer in time.',
  SPAWN_FAILED: 'A process could not be started.',
  NOT_READY: 'A process ended or stayed silent before it was ready.',
  CONTROL_UNREACHABLE: 'No running swarm answers on the control socket.',
  CONTROL_DENIED: 'The control token is missing or wrong.',
  CONTROL_MESSAGE_INVALID: 'A control message is not one JSON object of the agreed form.',
  CONTROL_MESSAGE_TOO_LARGE: 'A control message exceeds the size limit.',
  CONTROL_VERB_UNKNOWN: 'The running swarm has no such control verb.',
  CONTROL_FAILED: 'The running swarm could not carry out the control request.',
} as const;

export type RuntimeCode = keyof typeof RUNTIME_CODES;
