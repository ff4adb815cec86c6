"""What serves pages, and names: S3, CloudFront and Route 53."""

from pathlib import Path
from typing import Any

from pulumi import FileAsset

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs, InputsFailed


def create_bucket(cloud: Cloud, inputs: Inputs) -> Created:
    name = inputs.physical_name("bucket")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": cloud.region})
    if cloud.tags(inputs):
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": cloud.tag_list(inputs)})
    inputs.set_aside("nothing is ever destroyed here", "forceDestroy")
    return Created(
        name,
        {
            "bucket": name,
            "arn": f"arn:aws:s3:::{name}",
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{name}.s3.{cloud.region}.amazonaws.com",
            "tagsAll": cloud.tags(inputs),
        },
    )


def block_public_access(cloud: Cloud, inputs: Inputs) -> Created:
    bucket = inputs["bucket"]
    configuration = inputs.pick(
        blockPublicAcls="BlockPublicAcls",
        blockPublicPolicy="BlockPublicPolicy",
        ignorePublicAcls="IgnorePublicAcls",
        restrictPublicBuckets="RestrictPublicBuckets",
    )
    cloud.client("s3").put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=configuration)
    return Created(bucket)


def encrypt_bucket(cloud: Cloud, inputs: Inputs) -> Created:
    bucket = inputs["bucket"]
    rules = []
    for rule in inputs.blocks("rules"):
        default = rule.block("applyServerSideEncryptionByDefault")
        assert default is not None, "it is required"
        algorithm = default.pick(sseAlgorithm="SSEAlgorithm", kmsMasterKeyId="KMSMasterKeyID")
        rules.append(
            {
                "ApplyServerSideEncryptionByDefault": algorithm,
                **rule.pick(bucketKeyEnabled="BucketKeyEnabled"),
            }
        )
    cloud.client("s3").put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules}
    )
    return Created(bucket)


def set_bucket_policy(cloud: Cloud, inputs: Inputs) -> Created:
    bucket, policy = inputs["bucket"], inputs.json_text("policy")
    cloud.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    return Created(bucket, {"policy": policy})


def put_object(cloud: Cloud, inputs: Inputs) -> Created:
    bucket, key, source = inputs["bucket"], inputs["key"], inputs["source"]
    if not isinstance(source, FileAsset):
        raise InputsFailed(f"the content of {key} is not a file")
    made = cloud.client("s3").put_object(
        Bucket=bucket,
        Key=key,
        Body=Path(source.path).read_bytes(),
        **inputs.pick(contentType="ContentType", cacheControl="CacheControl"),
    )
    return Created(key, {"etag": made["ETag"].strip('"'), "arn": f"arn:aws:s3:::{bucket}/{key}"})


def create_origin_access_control(cloud: Cloud, inputs: Inputs) -> Created:
    configuration = {
        "Name": inputs.physical_name(),
        **inputs.pick(
            originAccessControlOriginType="OriginAccessControlOriginType",
            signingBehavior="SigningBehavior",
            signingProtocol="SigningProtocol",
            description="Description",
        ),
    }
    made = cloud.client("cloudfront").create_origin_access_control(OriginAccessControlConfig=configuration)
    made_id = made["OriginAccessControl"]["Id"]
    arn = cloud.arn("cloudfront", f"origin-access-control/{made_id}", region="")
    return Created(made_id, {"arn": arn, "etag": made["ETag"], "name": configuration["Name"]})


def create_viewer_function(cloud: Cloud, inputs: Inputs) -> Created:
    client = cloud.client("cloudfront")
    name = inputs.physical_name()
    made = client.create_function(
        Name=name,
        FunctionConfig={"Comment": inputs.get("comment", ""), "Runtime": inputs["runtime"]},
        FunctionCode=inputs["code"].encode(),
    )
    if inputs.get("publish", default=True):
        client.publish_function(Name=name, IfMatch=made["ETag"])
    arn = made["FunctionSummary"]["FunctionMetadata"]["FunctionARN"]
    return Created(name, {"name": name, "arn": arn, "etag": made["ETag"], "status": "UNASSOCIATED"})


def create_response_headers_policy(cloud: Cloud, inputs: Inputs) -> Created:
    configuration: dict[str, Any] = {"Name": inputs.physical_name(), **inputs.pick(comment="Comment")}
    security = inputs.block("securityHeadersConfig")
    if security is not None:
        configuration["SecurityHeadersConfig"] = {
            header[0].upper() + header[1:]: block.pick(
                override="Override",
                accessControlMaxAgeSec="AccessControlMaxAgeSec",
                includeSubdomains="IncludeSubdomains",
                preload="Preload",
                contentSecurityPolicy="ContentSecurityPolicy",
                frameOption="FrameOption",
                referrerPolicy="ReferrerPolicy",
            )
            for header in (
                "strictTransportSecurity",
                "contentSecurityPolicy",
                "contentTypeOptions",
                "frameOptions",
                "referrerPolicy",
            )
            if (block := security.block(header)) is not None
        }
    made = cloud.client("cloudfront").create_response_headers_policy(
        ResponseHeadersPolicyConfig=configuration
    )
    made_id = made["ResponseHeadersPolicy"]["Id"]
    arn = cloud.arn("cloudfront", f"response-headers-policy/{made_id}", region="")
    return Created(made_id, {"arn": arn, "etag": made["ETag"], "name": configuration["Name"]})


def create_distribution(cloud: Cloud, inputs: Inputs) -> Created:
    configuration: dict[str, Any] = {
        "CallerReference": inputs.name,
        "Comment": inputs.get("comment", ""),
        "Origins": counted([origin(one) for one in inputs.blocks("origins")]),
        "DefaultCacheBehavior": behavior(inputs.block("defaultCacheBehavior")),
        "CacheBehaviors": counted([behavior(one) for one in inputs.blocks("orderedCacheBehaviors")]),
        **inputs.pick(
            enabled="Enabled",
            isIpv6Enabled="IsIPV6Enabled",
            httpVersion="HttpVersion",
            priceClass="PriceClass",
            defaultRootObject="DefaultRootObject",
        ),
    }
    if "aliases" in inputs:
        configuration["Aliases"] = counted(inputs["aliases"])
    restrictions = inputs.block("restrictions")
    geo = restrictions and restrictions.block("geoRestriction")
    if geo:
        listed = counted(geo.get("locations", default=[]))
        configuration["Restrictions"] = {
            "GeoRestriction": {"RestrictionType": geo["restrictionType"], **listed}
        }
    certificate = inputs.block("viewerCertificate")
    if certificate is not None:
        configuration["ViewerCertificate"] = certificate.pick(
            cloudfrontDefaultCertificate="CloudFrontDefaultCertificate",
            acmCertificateArn="ACMCertificateArn",
            sslSupportMethod="SSLSupportMethod",
            minimumProtocolVersion="MinimumProtocolVersion",
        )
    made = cloud.client("cloudfront").create_distribution_with_tags(
        DistributionConfigWithTags={
            "DistributionConfig": configuration,
            "Tags": {"Items": cloud.tag_list(inputs)},
        }
    )["Distribution"]
    outputs = {"arn": made["ARN"], "domainName": made["DomainName"], "status": made["Status"]}
    return Created(made["Id"], {**outputs, "hostedZoneId": "Z2FDTNDATAQYW2", "tagsAll": cloud.tags(inputs)})


def origin(one: Inputs) -> dict[str, Any]:
    """Where a distribution gets what it serves: a bucket, or a server."""
    request: dict[str, Any] = {
        "OriginPath": "",
        **one.pick(
            originId="Id",
            domainName="DomainName",
            originPath="OriginPath",
            originAccessControlId="OriginAccessControlId",
        ),
    }
    server = one.block("customOriginConfig")
    if server is None:
        request["S3OriginConfig"] = {"OriginAccessIdentity": ""}
    else:
        request["CustomOriginConfig"] = {
            **server.pick(
                httpPort="HTTPPort", httpsPort="HTTPSPort", originProtocolPolicy="OriginProtocolPolicy"
            ),
            "OriginSslProtocols": counted(server["originSslProtocols"]),
        }
    return request


def behavior(one: Inputs | None) -> dict[str, Any]:
    """How a distribution answers, by default or for a pattern of paths."""
    assert one is not None, "it is required"
    request = one.pick(
        pathPattern="PathPattern",
        targetOriginId="TargetOriginId",
        viewerProtocolPolicy="ViewerProtocolPolicy",
        compress="Compress",
        cachePolicyId="CachePolicyId",
        originRequestPolicyId="OriginRequestPolicyId",
        responseHeadersPolicyId="ResponseHeadersPolicyId",
    )
    request["AllowedMethods"] = {
        **counted(one["allowedMethods"]),
        "CachedMethods": counted(one["cachedMethods"]),
    }
    associations = [
        association.pick(eventType="EventType", functionArn="FunctionARN")
        for association in one.blocks("functionAssociations")
    ]
    if associations:
        request["FunctionAssociations"] = counted(associations)
    return request


def counted(items: list[Any]) -> dict[str, Any]:
    """A list as CloudFront wants it."""
    return {"Quantity": len(items), **({"Items": items} if items else {})}


def create_record(cloud: Cloud, inputs: Inputs) -> Created:
    record: dict[str, Any] = inputs.pick(name="Name", type="Type", ttl="TTL")
    aliases = inputs.blocks("aliases")
    if aliases:
        (alias,) = aliases
        record["AliasTarget"] = alias.pick(
            name="DNSName", zoneId="HostedZoneId", evaluateTargetHealth="EvaluateTargetHealth"
        )
    if "records" in inputs:
        record["ResourceRecords"] = [{"Value": value} for value in inputs["records"]]
    cloud.client("route53").change_resource_record_sets(
        HostedZoneId=inputs["zoneId"],
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
    )
    return Created(f"{inputs['zoneId']}_{record['Name']}_{record['Type']}", {"fqdn": record["Name"]})


MAPPINGS = {
    "aws:s3/bucket:Bucket": create_bucket,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": block_public_access,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": encrypt_bucket,
    "aws:s3/bucketPolicy:BucketPolicy": set_bucket_policy,
    "aws:s3/bucketObject:BucketObject": put_object,
    "aws:s3/bucketObjectv2:BucketObjectv2": put_object,
    "aws:cloudfront/originAccessControl:OriginAccessControl": create_origin_access_control,
    "aws:cloudfront/function:Function": create_viewer_function,
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": create_response_headers_policy,
    "aws:cloudfront/distribution:Distribution": create_distribution,
    "aws:route53/record:Record": create_record,
}
