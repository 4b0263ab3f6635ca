# The swarm without its broker, which has a container of its own: see docker-compose.yml.
# Node as package.json pins it for development. Debian, because its util-linux ties programs to
# their parent's life, and the native packages are built for its C library.

FROM node:24.21.0-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

# Bundles and signs the image of every process. The key that signs is made here and stays here: what
# runs has the public half alone, so that nothing in the container can sign another image.
FROM packages AS images
COPY . .
RUN node --disable-warning=ExperimentalWarning --input-type=module \
      --eval "import { buildImages } from '/app/cli/wiring/images.ts'; await buildImages(console.log);" \
 && rm .swarmproof/ci/ci-key.pem \
 && chmod -R a+rX .swarmproof

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY . .
COPY --from=images /app/.swarmproof ./.swarmproof
# A named volume takes content and owner of the folder that it is mounted on when it is first used.
RUN mkdir -p /state/runs/default/nats && chown -R node:node /state && chmod -R go= /state
USER node
ENTRYPOINT ["node", "--disable-sigusr1", "--disable-warning=ExperimentalWarning", "/app/cli/main.ts", "--state-dir", "/state"]
CMD ["up", "--no-build"]
