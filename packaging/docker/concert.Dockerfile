# The command concert, with Python for its workers. In the root of the
# repository:
#
#   docker build -f packaging/docker/concert.Dockerfile --build-arg VERSION=v0.1.0 -t concert .
#   docker run --rm -v "$PWD/worker.key:/worker.key:ro" concert \
#       worker --url tls://server.example:4222 --key /worker.key statistics:fmean
#
# The key file must be readable for the user 65532. Packages for the functions
# of a worker belong into an image that is made from this one.
FROM golang:1.26 AS build
WORKDIR /src
COPY . .
ARG VERSION=v0.0.0-unknown
RUN mkdir /out && packaging/binaries "$VERSION" "$(go env GOARCH)" /out

FROM python:3.13-slim
COPY --from=build /out/concert /usr/bin/concert
RUN useradd --uid 65532 --user-group --create-home concert
USER 65532:65532
WORKDIR /home/concert
ENTRYPOINT ["/usr/bin/concert"]
CMD ["help"]
