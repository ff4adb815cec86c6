"""A static build, such as the dashboard's, behind CloudFront: the API under /v1 of the same address, so that the pages call it
without CORS and without being told where it is, as they do at home.

The bucket is closed to everybody but this distribution. Paths without a dot are routes of the page and get index.html;
what is missing stays missing.
"""

import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from stacks.place import Place

API_PATHS = "/v1/*"

# Policies that AWS keeps, by the ids that they have in every account.
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
"""All that the viewer sent goes to the origin, but for Host, by which API Gateway would look for another API."""

HASHED = "assets/"
"""Where builds put files whose names change with their content."""

FOR_EVER = "public, max-age=31536000, immutable"
ASK_EACH_TIME = "no-cache"
YEAR_S = 31_536_000

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' data:",
        "style-src 'self' 'unsafe-inline'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)

ROUTES_TO_INDEX = """\
function handler(event) {
  var request = event.request;
  var last = request.uri.split('/').pop();
  if (last.indexOf('.') === -1) {
    request.uri = '/index.html';
  }
  return request;
}
"""


@dataclass(frozen=True, slots=True)
class SiteArgs:
    """directory: the build. api_domain, api_stage: where the API is, by the name that AWS gave it."""

    place: Place
    directory: Path
    api_domain: pulumi.Input[str]
    api_stage: pulumi.Input[str]
    protect: bool


class Site(pulumi.ComponentResource):
    """Bucket, files and distribution.

    Outputs: url, bucket_name. Costs: idle nearly 0; CloudFront's first terabyte a month is free.
    """

    def __init__(self, name: str, args: SiteArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sandbox:site:Site", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._bucket = self._closed_bucket()
        self._upload()
        distribution = self._distribution()
        self._let_in(distribution)
        self.url = pulumi.Output.concat("https://", distribution.domain_name)
        self.bucket_name = self._bucket.bucket
        self.register_outputs({"url": self.url, "bucket_name": self.bucket_name})

    def _closed_bucket(self) -> aws.s3.Bucket:
        place = self._args.place
        bucket = aws.s3.Bucket(
            f"{self._name}-bucket",
            # Bucket names are shared by all accounts.
            bucket=f"{place.prefix}-site-{place.account_id}",
            force_destroy=not self._args.protect,
            opts=self._child,
        )
        aws.s3.BucketPublicAccessBlock(
            f"{self._name}-access-block",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{self._name}-encryption",
            bucket=bucket.bucket,
            # Anybody may read the files in the end; the stack's key would only have to be lent to CloudFront.
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=self._child,
        )
        return bucket

    def _upload(self) -> None:
        root = self._args.directory
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            key = path.relative_to(root).as_posix()
            aws.s3.BucketObjectv2(
                f"{self._name}-file-{key}",
                bucket=self._bucket.bucket,
                key=key,
                source=pulumi.FileAsset(str(path)),
                content_type=mimetypes.guess_type(key)[0] or "application/octet-stream",
                cache_control=FOR_EVER if key.startswith(HASHED) else ASK_EACH_TIME,
                opts=self._child,
            )

    def _distribution(self) -> aws.cloudfront.Distribution:
        place = self._args.place
        access = aws.cloudfront.OriginAccessControl(
            f"{self._name}-access",
            name=place.name("site"),
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=self._child,
        )
        routes = aws.cloudfront.Function(
            f"{self._name}-routes",
            name=place.name("site-routes"),
            runtime="cloudfront-js-2.0",
            code=ROUTES_TO_INDEX,
            publish=True,
            opts=self._child,
        )
        origins: list[Any] = [
            {
                "origin_id": "files",
                "domain_name": self._bucket.bucket_regional_domain_name,
                "origin_access_control_id": access.id,
            },
            {
                "origin_id": "api",
                "domain_name": self._args.api_domain,
                "origin_path": pulumi.Output.concat("/", self._args.api_stage),
                "custom_origin_config": {
                    "http_port": 80,
                    "https_port": 443,
                    "origin_protocol_policy": "https-only",
                    "origin_ssl_protocols": ["TLSv1.2"],
                },
            },
        ]
        return aws.cloudfront.Distribution(
            f"{self._name}-distribution",
            comment=place.prefix,
            enabled=True,
            is_ipv6_enabled=True,
            http_version="http2and3",
            price_class="PriceClass_100",
            default_root_object="index.html",
            origins=origins,
            default_cache_behavior={
                "target_origin_id": "files",
                "viewer_protocol_policy": "redirect-to-https",
                "allowed_methods": ["GET", "HEAD"],
                "cached_methods": ["GET", "HEAD"],
                "compress": True,
                "cache_policy_id": CACHING_OPTIMIZED,
                "response_headers_policy_id": self._security_headers().id,
                "function_associations": [{"event_type": "viewer-request", "function_arn": routes.arn}],
            },
            ordered_cache_behaviors=[
                {
                    "path_pattern": API_PATHS,
                    "target_origin_id": "api",
                    "viewer_protocol_policy": "https-only",
                    "allowed_methods": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"],
                    "cached_methods": ["GET", "HEAD"],
                    "cache_policy_id": CACHING_DISABLED,
                    "origin_request_policy_id": ALL_BUT_HOST,
                }
            ],
            restrictions={"geo_restriction": {"restriction_type": "none"}},
            viewer_certificate={"cloudfront_default_certificate": True},
            opts=self._child,
        )

    def _security_headers(self) -> aws.cloudfront.ResponseHeadersPolicy:
        return aws.cloudfront.ResponseHeadersPolicy(
            f"{self._name}-headers",
            name=self._args.place.name("site"),
            security_headers_config={
                "strict_transport_security": {
                    "access_control_max_age_sec": YEAR_S,
                    "include_subdomains": True,
                    "override": True,
                },
                "content_security_policy": {
                    "content_security_policy": CONTENT_SECURITY_POLICY,
                    "override": True,
                },
                "content_type_options": {"override": True},
                "frame_options": {"frame_option": "DENY", "override": True},
                "referrer_policy": {"referrer_policy": "no-referrer", "override": True},
            },
            opts=self._child,
        )

    def _let_in(self, distribution: aws.cloudfront.Distribution) -> None:
        aws.s3.BucketPolicy(
            f"{self._name}-policy",
            bucket=self._bucket.bucket,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "ThisDistribution",
                            "Effect": "Allow",
                            "Principal": {"Service": "cloudfront.amazonaws.com"},
                            "Action": "s3:GetObject",
                            "Resource": pulumi.Output.concat(self._bucket.arn, "/*"),
                            "Condition": {"StringEquals": {"AWS:SourceArn": distribution.arn}},
                        }
                    ],
                }
            ),
            opts=self._child,
        )
