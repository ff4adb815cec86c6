"""The site: files behind CloudFront, closed to everybody else, with the API under the same address."""

import json
import shutil
import subprocess

import pytest

from stacks.components.site import CACHING_DISABLED, ROUTES_TO_INDEX
from tests.stacks.deployed import ACCOUNT, REGION, Deployed, deploy

SITE = "tests/stacks/fixtures/site"
BUCKET = f"payments-sandbox-dev-site-{ACCOUNT}"
DISTRIBUTION = f"arn:aws:cloudfront::{ACCOUNT}:distribution/site-distribution-id"


@pytest.fixture
def deployed() -> Deployed:
    return deploy(site_directory=SITE)


def test_without_a_build_there_is_no_site() -> None:
    deployed = deploy()
    for kind in ("Bucket", "Distribution"):
        assert not deployed.of_type(kind)
    assert "site_url" not in deployed.outputs


def test_the_files_of_the_build_are_there_under_their_paths(deployed: Deployed) -> None:
    files = {made.plain["key"]: made.plain for made in deployed.of_type("BucketObjectv2")}
    assert set(files) == {"index.html", "assets/app-1a2b3c.js"}
    assert {each["bucket"] for each in files.values()} == {BUCKET}
    assert files["index.html"]["contentType"] == "text/html"
    assert "javascript" in files["assets/app-1a2b3c.js"]["contentType"]


def test_files_whose_names_change_with_their_content_are_kept_and_the_page_is_asked_for(
    deployed: Deployed,
) -> None:
    files = {made.plain["key"]: made.plain["cacheControl"] for made in deployed.of_type("BucketObjectv2")}
    assert files == {
        "index.html": "no-cache",
        "assets/app-1a2b3c.js": "public, max-age=31536000, immutable",
    }


def test_the_bucket_is_closed_to_all_but_this_distribution(deployed: Deployed) -> None:
    block = deployed.one("BucketPublicAccessBlock").plain
    assert all(block[name] is True for name in block if name != "bucket")
    assert len(block) == 5
    assert block["bucket"] == BUCKET
    (statement,) = deployed.one("BucketPolicy").document("policy")["Statement"]
    assert statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert (statement["Action"], statement["Resource"]) == ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*")
    assert statement["Condition"] == {"StringEquals": {"AWS:SourceArn": DISTRIBUTION}}


def test_cloudfront_signs_what_it_asks_the_bucket_for(deployed: Deployed) -> None:
    access = deployed.one("OriginAccessControl").plain
    assert (
        access["originAccessControlOriginType"],
        access["signingBehavior"],
        access["signingProtocol"],
    ) == (
        "s3",
        "always",
        "sigv4",
    )
    files = next(
        each for each in deployed.one("Distribution").plain["origins"] if each["originId"] == "files"
    )
    assert files["originAccessControlId"] == "site-access-id"
    assert files["domainName"] == f"{BUCKET}.s3.{REGION}.amazonaws.com"


def test_the_api_is_under_the_same_address_uncached_and_without_the_viewers_host(deployed: Deployed) -> None:
    distribution = deployed.one("Distribution").plain
    (behaviour,) = distribution["orderedCacheBehaviors"]
    assert behaviour["pathPattern"] == "/v1/*"
    assert behaviour["cachePolicyId"] == CACHING_DISABLED
    assert set(behaviour["allowedMethods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
    origin = next(each for each in distribution["origins"] if each["originId"] == behaviour["targetOriginId"])
    assert origin["domainName"] == f"api-rest-id.execute-api.{REGION}.amazonaws.com"
    assert origin["originPath"] == "/dev"
    assert origin["customOriginConfig"]["originProtocolPolicy"] == "https-only"
    assert "responseHeadersPolicyId" not in behaviour, "the API says its own headers"


def test_pages_come_with_security_headers(deployed: Deployed) -> None:
    headers = deployed.one("ResponseHeadersPolicy").plain["securityHeadersConfig"]
    assert headers["strictTransportSecurity"]["accessControlMaxAgeSec"] == 31_536_000
    policy = headers["contentSecurityPolicy"]["contentSecurityPolicy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert headers["frameOptions"]["frameOption"] == "DENY"
    assert headers["contentTypeOptions"]["override"] is True
    default = deployed.one("Distribution").plain["defaultCacheBehavior"]
    assert default["responseHeadersPolicyId"] == "site-headers-id"
    assert default["viewerProtocolPolicy"] == "redirect-to-https"


def test_routes_of_the_page_get_the_page(deployed: Deployed) -> None:
    function = deployed.one("Function", "site-routes")
    assert function.plain["code"] == ROUTES_TO_INDEX
    (association,) = deployed.one("Distribution").plain["defaultCacheBehavior"]["functionAssociations"]
    assert association == {"eventType": "viewer-request", "functionArn": function.outputs["arn"]}


@pytest.mark.parametrize(
    ("uri", "served"),
    [
        ("/", "/index.html"),
        ("/payments", "/index.html"),
        ("/payments/auth_1", "/index.html"),
        ("/v1.2/payments", "/index.html"),
        ("/index.html", "/index.html"),
        ("/assets/app-1a2b3c.js", "/assets/app-1a2b3c.js"),
        ("/missing.png", "/missing.png"),
    ],
)
def test_a_path_without_a_dot_is_a_route(uri: str, served: str) -> None:
    node = shutil.which("node")
    assert node, "Node.js is needed, as the README says"
    program = f"{ROUTES_TO_INDEX}\nconsole.log(handler({{request: {{uri: {json.dumps(uri)}}}}}).uri)"
    answer = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == served


def test_a_protected_stack_does_not_empty_its_bucket() -> None:
    assert deploy(site_directory=SITE).one("Bucket").plain["forceDestroy"] is True
    kept = deploy(site_directory=SITE, protect=True).one("Bucket").plain
    assert kept["forceDestroy"] is False


def test_the_sites_address_is_exported(deployed: Deployed) -> None:
    assert deployed.outputs["site_url"] == "https://d111.cloudfront.net"
    assert deployed.outputs["site_bucket_name"] == BUCKET
