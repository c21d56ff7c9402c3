# A server of a cluster. In the root of the repository:
#
#   docker build -f packaging/docker/concertd.Dockerfile --build-arg VERSION=v0.1.0 -t concertd .
#   docker run --rm -v concertd:/data concertd init --dir /data
#   docker run -d -p 4222:4222 -v concertd:/data concertd
#
# There is no health check: the image has no shell, and no key. A probe may
# connect to the port 4222.
FROM golang:1.26 AS build
WORKDIR /src
COPY . .
ARG VERSION=v0.0.0-unknown
RUN mkdir -p /out/data && packaging/binaries "$VERSION" "$(go env GOARCH)" /out

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/concertd /usr/bin/concertd
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
EXPOSE 4222
ENTRYPOINT ["/usr/bin/concertd"]
CMD ["serve", "--dir", "/data", "--listen", "0.0.0.0:4222"]
