# ImgCap's page and service: docs/deploy.md. For processors with AVX2 (x86-64-v3), whatever builds it.
FROM debian:bookworm-slim AS build
COPY . /src
WORKDIR /src
RUN scripts/setup.sh \
    && cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DIMGCAP_NATIVE=OFF -DCMAKE_CXX_FLAGS=-march=x86-64-v3 \
        -DIMGCAP_BUILD_TESTS=OFF -DIMGCAP_BUILD_EXAMPLES=OFF -DIMGCAP_SERVER=ON \
    && cmake --build build --target imgcap \
    && strip build/bin/imgcap

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libdnnl2 libfmt9 libgomp1 libjpeg62-turbo libpangocairo-1.0-0 libtiff6 \
        libutf8proc2 libwebp7 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --uid 990 imgcap
COPY --from=build /src/build/bin/imgcap /opt/imgcap/bin/imgcap
COPY --from=build /src/assets /opt/imgcap/share/imgcap
COPY --from=build /src/LICENSE /src/NOTICE.md /opt/imgcap/
USER 990
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7860 && printf 'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && grep -q ok <&3"]
ENTRYPOINT ["/opt/imgcap/bin/imgcap"]
CMD ["serve", "--host", "0.0.0.0", "--open-to-all", "--model", "attention", "plain"]
