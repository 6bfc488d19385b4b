# The three programs on a base without shell or package manager.
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t msgorch .
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/...
RUN mkdir /media

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/api /out/worker /out/msgorch /usr/local/bin/
# A volume that is mounted here belongs to who runs the programs.
COPY --from=build --chown=nonroot:nonroot /media /var/lib/msgorch/media
USER nonroot:nonroot
WORKDIR /home/nonroot
EXPOSE 3001 3002 3003 3010
# SIGTERM is what the programs expect; they need up to SHUTDOWN_WAIT to finish their work.
STOPSIGNAL SIGTERM
CMD ["/usr/local/bin/api"]
